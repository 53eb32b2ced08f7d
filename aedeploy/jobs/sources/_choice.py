"""Which names are inputs, and what they look like in print."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.images.read import EXTENSIONS
from aedeploy.jobs.sources import Selection

NOT_UTF8 = "its name is not valid UTF-8: rename it"


class Choice:
    """A selection, ready to be asked of a million paths."""

    def __init__(self, selection: Selection) -> None:
        self._include = _any_of(selection.include)
        self._exclude = _any_of(selection.exclude)
        self._all = self._include is None and self._exclude is None

    def selects(self, path: str) -> bool:
        """Whether the selection has it, whatever it is."""
        if self._all:
            return True
        if self._include is not None and not self._include.fullmatch(path):
            return False
        return self._exclude is None or not self._exclude.fullmatch(path)

    def takes(self, path: str) -> bool:
        """Whether it is an image by its name, and selected."""
        # A million names: pathlib would take seconds.
        return f".{path.rpartition('.')[2].lower()}" in EXTENSIONS and self.selects(path)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is left out by its name alone: hidden, or a partial file of ours."""
    return name.startswith(".") or name.endswith(PARTIAL_SUFFIX)


def is_utf8(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """A name that may not be UTF-8, so that it can be printed."""
    if is_utf8(name):
        return name
    try:
        octets = os.fsencode(name)
    except UnicodeEncodeError:  # half of a surrogate pair, which no file name has
        octets = name.encode("utf-8", "backslashreplace")
    return octets.decode("utf-8", "backslashreplace")


def _any_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{_translated(pattern)})" for pattern in patterns), re.DOTALL) if patterns else None


def _translated(pattern: str) -> str:
    """A pattern as a regular expression of the whole path. ``*``, ``?`` and ``[…]`` stay within one name."""
    pattern = pattern.removeprefix("./")
    anywhere = "" if "/" in pattern else "(?:[^/]+/)*"
    if pattern.endswith("/"):
        pattern += "**"
    parts = pattern.strip("/").split("/")
    regex = ""
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "**":
            regex += ".+" if last else "(?:[^/]+/)*"
        else:
            regex += _translated_name(part) + ("" if last else "/")
    return anywhere + regex


def _translated_name(part: str) -> str:
    regex, at = "", 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            regex += "[^/]*"
        elif char == "?":
            regex += "[^/]"
        elif char == "[" and (end := part.find("]", at + 1 + (part[at : at + 1] == "!"))) > 0:
            inside = part[at:end].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            regex += f"(?!/)[{'^' + inside[1:] if inside.startswith('!') else inside}]"
            at = end + 1
        else:
            regex += re.escape(char)
    return regex
