"""From the name of a kind to its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, get_args, get_origin

from aedeploy.config import parse
from aedeploy.errors import ConfigError
from aedeploy.names import load_named, names_in
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import LIGHT, Theme, drawing
from aedeploy.recipes import parse_value

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


def choices_from(kind: str, given: Sequence[str]) -> dict[str, Any]:
    """The choices of a kind, from ``KEY=VALUE`` each: what may be text is taken as it stands, such as a class called
    ``1.50``; what may be several, from between commas; all else as TOML.

    Raises:
        ConfigError: one is not of that form.
    """
    fields = kind_named(kind).Choices.model_fields
    choices: dict[str, Any] = {}
    for each in given:
        key, equals, value = (part.strip() for part in each.partition("="))
        if not equals or not key:
            raise ConfigError(f"--set takes KEY=VALUE, such as steps=12: {each!r} is not one.")
        accepted = _accepted(fields[key].annotation) if key in fields else ()
        if str in accepted:
            choices[key] = value
        elif any(get_origin(one) is list for one in accepted):
            choices[key] = [part.strip(" '\"") for part in value.strip("[] ").split(",")]
        else:
            choices[key] = parse_value(value)
    return choices


def _accepted(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    return (annotation,) if annotation is str else get_args(annotation)
