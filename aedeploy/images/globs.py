"""Patterns of names, such as ``train/*.png``, ``thumbs/`` and ``**/a?.jpg``."""

from __future__ import annotations

import re
from collections.abc import Sequence


def any_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """What matches paths, with ``/`` between their parts, that one of the patterns names; None without any."""
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
