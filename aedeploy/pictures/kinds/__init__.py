"""The kinds of pictures, a file each. The first line of a file's docstring is what ``aedeploy list pictures`` says.

A kind has ``TITLE``; ``Choices``, what may be chosen; and ``draw(subject, choices, theme)``, called with matplotlib set
up for the theme. What a picture shows is computed by functions of its own, which tests hold to account.
"""
