"""The axes of a sweep, the points of their product, and how both are called."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aedeploy.errors import ConfigError
from aedeploy.recipes import is_dotted, parse_value, short_names

#: The axis that --seeds makes; every other one is a dotted key of the recipe.
SEED = "seed"

_OPENING, _CLOSING = "[{", "]}"
_LONGEST_NAME = 120
_FORM = "--over takes KEY=VALUE,VALUE,… with a dotted key, such as model.latent_dim=2,16,32"

Values = Mapping[str, Any]  # of one point, by key


@dataclass(frozen=True)
class Axis:
    """A key, and the values it takes."""

    key: str
    values: tuple[Any, ...]


def parse_axis(text: str) -> Axis:
    """Read ``KEY=VALUE,VALUE,…``; a value is read as --set reads it, and a comma in brackets or quotes is part of it.

    Raises:
        ConfigError: it is not of this form, or a value is empty, given twice, or nothing that JSON can hold.
    """
    key, equals, listed = (part.strip() for part in text.partition("="))
    if not equals or not is_dotted(key):
        raise ConfigError(f"{_FORM}: {text!r} is not of this form.")
    if not listed:
        raise ConfigError(f"--over {key}= has no values: give one or more, with commas between them.")
    pieces = [piece.strip() for piece in _pieces(text, listed)]
    if "" in pieces:
        raise ConfigError(f"--over {text}: a value is empty: there is a comma too many.")
    values = tuple(parse_value(piece) for piece in pieces)
    seen = set()
    for piece, value in zip(pieces, values, strict=True):
        try:
            written = canonical(value)
        except (TypeError, ValueError):
            raise ConfigError(f"--over {text}: {piece} is no number, string, boolean, list or table of them.") from None
        if written in seen:
            raise ConfigError(f"--over {text}: {piece} is given twice: leave one out.")
        seen.add(written)
    return Axis(key, values)


def _pieces(text: str, listed: str) -> Iterator[str]:
    """The parts between the commas that are in no bracket and no quote."""
    depth, quote, begun = 0, "", 0
    at = 0
    while at < len(listed):
        letter = listed[at]
        if quote:
            if letter == "\\" and quote == '"':
                at += 1  # what is escaped closes nothing
            elif letter == quote:
                quote = ""
        # An apostrophe within a bare word is one.
        elif letter in "\"'" and (depth or not listed[begun:at].strip()):
            quote = letter
        elif letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        elif letter == "," and depth == 0:
            yield listed[begun:at]
            begun = at + 1
        if depth < 0:
            break
        at += 1
    if depth or quote:
        raise ConfigError(f"--over {text}: a bracket or a quote has no partner.")
    yield listed[begun:]


def check_axes(axes: Sequence[Axis], fixed: Sequence[str] = ()) -> None:
    """Refuse a grid without an axis, a key that has two, and one that is among ``fixed``, the keys given by --set.

    Raises:
        ConfigError: as above.
    """
    if not axes:
        raise ConfigError(f"There is nothing to sweep over: {_FORM}.")
    keys = [axis.key for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"--over {key} is given twice: put all its values into one, with commas between them.")
        if key in fixed:
            raise ConfigError(f"{key} is given by --over, and by another option too: leave one of them out.")


def grid(axes: Sequence[Axis]) -> list[Values]:
    """Every combination of values; the last axis changes fastest."""
    keys = [axis.key for axis in axes]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(axis.values for axis in axes))]


def canonical(value: Any) -> str:
    """The same text for the same value or the same point, whatever the order of its keys.

    Raises:
        TypeError, ValueError: JSON has no such value: a date, a NaN, an infinity.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False)


def value_text(value: Any) -> str:
    """A value for a person: strings without quotes, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def label(values: Values) -> str:
    """A point for a person: ``latent_dim=16, lr=0.001``."""
    names = short_names(list(values))
    return ", ".join(f"{names[key]}={value_text(value)}" for key, value in values.items())


def folder_name(values: Values, taken: Mapping[str, Values]) -> str:
    """The folder of a point: the one that it has among ``taken``, or a new one, named after its values."""
    mine = canonical(values)
    for name, others in taken.items():
        if canonical(others) == mine:
            return name
    names = short_names(list(values))
    stem = "_".join(f"{names[key]}-{_plain(value)}" for key, value in values.items())[:_LONGEST_NAME]
    lower = {name.lower() for name in taken}  # on some systems, A is a
    candidates = itertools.chain([stem], (f"{stem}~{number}" for number in itertools.count(2)))
    return next(name for name in candidates if name.lower() not in lower)


def _plain(value: Any) -> str:
    """``[512, 256]`` as ``512-256``."""
    return re.sub(r"[^\w.+-]+", "-", value_text(value).strip('[]{}" ')) or "none"
