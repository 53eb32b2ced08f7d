"""``sweep.json``: what the points in a folder were made with, so that only what can be compared comes together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aedeploy.errors import ConfigError
from aedeploy.files import write_json
from aedeploy.training.sweep.grid import Axis, Values, canonical, folder_name

SWEEP_FILE = "sweep.json"
LOCK_FILE = ".lock"

_VERSION = 1
_ANOTHER = "give the same options as then, or another folder with --out"


@dataclass(frozen=True, kw_only=True)
class Record:
    """The content of the file. ``base``: all that the points share; ``points``: the values of each, by its folder."""

    base: Mapping[str, Any]
    axes: tuple[Axis, ...]
    points: Mapping[str, Values] = field(default_factory=dict)

    def with_points(self, axes: Sequence[Axis], points: Sequence[Values]) -> Record:
        """This, and more points. ``axes`` are those of the same keys, in whose order all points come now."""
        named = dict(self.points)
        for values in points:
            named[folder_name(values, named)] = values
        before = {axis.key: axis.values for axis in self.axes}
        merged = tuple(Axis(axis.key, _merged(axis.values, before[axis.key])) for axis in axes)
        places = [{canonical(value): place for place, value in enumerate(axis.values)} for axis in merged]

        def place(name: str) -> tuple[int, ...]:
            return tuple(where[canonical(named[name][axis.key])] for axis, where in zip(merged, places, strict=True))

        return replace(self, axes=merged, points={name: named[name] for name in sorted(named, key=place)})

    def write(self, folder: Path) -> None:
        """Into ``folder``."""
        write_json(
            folder / SWEEP_FILE,
            {
                "version": _VERSION,
                "base": self.base,
                "over": {axis.key: axis.values for axis in self.axes},
                "points": self.points,
            },
        )


def open_record(folder: Path, base: Mapping[str, Any], axes: Sequence[Axis]) -> Record:
    """What is recorded in ``folder``, or the beginning of a record.

    Raises:
        ConfigError: the folder holds something else, or the points of another sweep; the first difference is named.
    """
    base = json.loads(json.dumps(base))  # as it comes back from a file: tuples are lists then
    found = _read(folder)
    if found is None:
        if folder.is_dir() and any(entry.name != LOCK_FILE for entry in folder.iterdir()):
            raise ConfigError(f"--out {folder} is there already, and holds no sweep: name another folder.")
        return Record(base=base, axes=tuple(axes))
    before, now = (dict(_flat(values)) for values in (found.base, base))
    for key in (*now, *before):
        if before.get(key) != now.get(key):
            raise ConfigError(
                f"The sweep in {folder} was made with other options: its {key} was {before.get(key)!r}, "
                f"and is {now.get(key)!r} now; {_ANOTHER}."
            )
    keys = [" and ".join(axis.key for axis in each) for each in (found.axes, axes)]
    if {axis.key for axis in found.axes} != {axis.key for axis in axes}:
        raise ConfigError(f"The sweep in {folder} is over {keys[0]}, and not over {keys[1]}: {_ANOTHER}.")
    return found


def _read(folder: Path) -> Record | None:
    try:
        values = json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))
        if values["version"] != _VERSION:
            raise ConfigError(
                f"{folder / SWEEP_FILE} is of version {values['version']}, and this release reads {_VERSION}: "
                "go on with the release that wrote it, or name another folder with --out."
            )
        return Record(
            base=dict(values["base"]),
            axes=tuple(Axis(key, tuple(listed)) for key, listed in values["over"].items()),
            points={name: {key: point[key] for key in values["over"]} for name, point in values["points"].items()},
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError(
            f"{folder / SWEEP_FILE} is not what a sweep writes: restore it, or name another folder with --out."
        ) from None


def _merged(first: Sequence[Any], more: Sequence[Any]) -> tuple[Any, ...]:
    known = {canonical(value) for value in first}
    return (*first, *(value for value in more if canonical(value) not in known))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
