"""A chunk: the images that a worker reads, runs and writes in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from aedeploy.images.geometry import Placement
from aedeploy.jobs.spec import Failure, Member, Source
from aedeploy.runtime.runner import Arrays


@dataclass(kw_only=True, slots=True)
class Row:
    """One input of a chunk that is fine so far."""

    source: Source
    placement: Placement | None = None  # how it lies in what went into the graph; None: it is that, pixel for pixel
    alpha: np.ndarray | None = None  # uint8 [H, W] of its own size, where it has transparency
    depth: int = 8  # bits of its samples, 8 or 16
    sigma: float | None = None  # what the model was told of its noise, in levels of 255; None: nothing
    image: np.ndarray | None = None  # the output, finished: uint8 or uint16 [H, W, C]
    content: bytes | None = None  # ``image`` as a file, where a sink keeps it until the commit
    notes: dict[str, str] = field(default_factory=dict)  # for the output's metadata


@dataclass(kw_only=True)
class Chunk:
    """What became of some inputs. The first axis of ``arrays`` belongs to ``rows``, one each, in order."""

    members: list[Member]  # all inputs that were dealt with, fine or not
    rows: list[Row]
    arrays: Arrays = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def keep(self, good: Iterable[bool] | np.ndarray, reason: str | Callable[[Row], str]) -> None:
        """Leave out the rows that are not ``good`` (bool [rows]): each becomes a failure."""
        chosen = np.fromiter(good, bool, len(self.rows))
        if chosen.all():
            return
        for row, fine in zip(self.rows, chosen, strict=True):
            if not fine:
                why = reason if isinstance(reason, str) else reason(row)
                self.failures.append(Failure(path=row.source.path, reason=why))
        self.rows = [row for row, fine in zip(self.rows, chosen, strict=True) if fine]
        self.arrays = {name: array[chosen] for name, array in self.arrays.items()}


def joined(chunks: Sequence[Chunk]) -> tuple[list[str], Arrays]:
    """The paths of all rows, and their arrays, one after the other."""
    full = [chunk for chunk in chunks if chunk.rows]
    paths = [row.source.path for chunk in full for row in chunk.rows]
    names = full[0].arrays if full else {}
    return paths, {name: np.concatenate([chunk.arrays[name] for chunk in full]) for name in names}


def finite_rows(array: np.ndarray) -> np.ndarray:
    """bool [rows]: which have neither NaN nor infinity."""
    finite: np.ndarray = np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    return finite
