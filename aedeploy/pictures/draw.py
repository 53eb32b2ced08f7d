"""From the name of a kind to its picture."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from aedeploy.config import parse
from aedeploy.names import load_named, names_in
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import LIGHT, Theme, drawing

KINDS = "aedeploy.pictures.kinds"


def picture_names() -> list[str]:
    """The kinds of pictures there are."""
    return names_in(KINDS)


def kind_named(name: str) -> ModuleType:
    """The module of a kind: its ``Choices``, ``TITLE`` and ``draw``.

    Raises:
        UnknownNameError: there is none.
    """
    return load_named(KINDS, name, "picture")


def draw(kind: str, subject: Subject, *, theme: Theme = LIGHT, **choices: Any) -> Picture:
    """Draw one kind of picture; ``choices`` are those that the kind declares.

    Raises:
        UnknownNameError: there is no such kind.
        PictureError: it does not apply to the model or its images; the message says why.
        ConfigError: a choice is not one of the kind's, or cannot be.
        MissingDependencyError: matplotlib, or another package that the kind needs, is not installed.
    """
    return drawn(kind, subject, choices, theme)


def drawn(kind: str, subject: Subject, choices: Mapping[str, Any], theme: Theme) -> Picture:
    """As :func:`draw`, of choices in a mapping."""
    module = kind_named(kind)
    chosen = parse(module.Choices, choices, "")
    with drawing(theme):
        picture: Picture = module.draw(subject, chosen, theme)
    return picture
