"""Pixels, outside of any model: the same for training, for serving and for whoever reads a bundle's contract.

read.py       a file becomes an upright image in the colour mode that a model takes
colour.py     whatever kinds of pixels it has become grey or RGB, with their transparency beside them
icc.py        colour profiles, carried out
png.py        the short way from and to small PNGs
quiet.py      Pillow without its warnings
geometry.py   an image becomes an array of the size that a model takes, and back
pixels.py     bytes and words ↔ the float values that graphs compute with
folder.py     the images of a folder, in an order that does not change
write.py      an array becomes a file, whole or not at all
"""
