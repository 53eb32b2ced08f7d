"""Several archives by one name: ``shard-{000..099}.tar``, ``{train,test}/*.tar``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product

from aedeploy.errors import ConfigError

# What one pattern may stand for.
_MOST = 1_000_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def is_pattern(text: str) -> bool:
    """Whether a name stands for several, unless there is a file of that very name."""
    return any(char in text for char in "*?[") or any(_alternatives(part) for part in _BRACES.findall(text))


def expanded(
    text: str,
    glob: Callable[[str], Sequence[str]],
    exists: Callable[[str], bool],
    shown: Callable[[str], str] = str,
) -> list[str]:
    """Everything that a pattern stands for, each once, in the order of the braces and then by name.

    ``shown``: how a name is told, where it is not as it was typed.

    Raises:
        ConfigError: a name that braces give, or whatever a pattern asks for, is not there.
    """
    found: dict[str, None] = {}
    for name in _without_braces(text):
        many = any(char in name for char in "*?[")
        names = sorted(glob(name)) if many else [name] * exists(name)
        if not names:
            asked = f", which {shown(text)} asks for" if name != text else ""
            raise ConfigError(f"There is no file {shown(name)}{asked}.")
        found.update(dict.fromkeys(names))
    return list(found)


def prefixes(text: str, archives: Sequence[str], suffixes: Sequence[str]) -> list[str]:
    """What the paths of each archive's members begin with: its own path, below the folder that has no pattern in it,
    without its suffix, unless two archives would then be one.
    """
    parts = text.split("/")
    plain = next(place for place, part in enumerate(parts) if is_pattern(part) or place == len(parts) - 1)
    names = ["/".join(archive.split("/")[plain:]) for archive in archives]
    stems = [_without(name, suffixes) for name in names]
    count = Counter(stems)
    return [f"{stem if count[stem] == 1 else name}/" for name, stem in zip(names, stems, strict=True)]


def _without(name: str, suffixes: Sequence[str]) -> str:
    suffix = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] or name


def _alternatives(inside: str) -> list[str]:
    """What one pair of braces stands for; nothing, if it is no pattern."""
    if numbers := _RANGE.fullmatch(inside):
        first, last = numbers.groups()
        if abs(int(last) - int(first)) >= _MOST:
            raise ConfigError(f"{{{inside}}} stands for more than {_MOST:,} names: use fewer.")
        width = len(first) if first.startswith("0") or last.startswith("0") else 0
        step = 1 if int(first) <= int(last) else -1
        return [f"{number:0{width}}" for number in range(int(first), int(last) + step, step)]
    return inside.split(",") if "," in inside else []


def _without_braces(text: str) -> Iterator[str]:
    choices, at, count = list[list[str]](), 0, 1
    for found in _BRACES.finditer(text):
        choices += [[text[at : found.start()]], _alternatives(found[1]) or [found[0]]]
        count *= len(choices[-1])
        at = found.end()
    if count > _MOST:
        raise ConfigError(f"{text} stands for more than {_MOST:,} names: use fewer.")
    return ("".join(parts) for parts in product(*choices, [text[at:]]))
