"""An image in overlapping tiles, and one image of what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

#: Pixels over which one tile passes into the next, where both are right.
BLEND = 8


@dataclass(frozen=True, kw_only=True)
class Span:
    """A tile along one axis: pixels ``start`` to ``stop``, of which ``first`` to ``last`` are used.

    Up to ``settled`` they pass over from those of the tile before; between tiles without an overlap, not at all.
    """

    start: int
    stop: int
    first: int
    settled: int
    last: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def weights(self) -> np.ndarray:
        """float32 [last − first]: how much each pixel of this tile counts beside what is there already."""
        weights = np.ones(self.last - self.first, np.float32)
        passing = self.settled - self.first
        weights[:passing] = np.arange(1, passing + 1, dtype=np.float32) / np.float32(passing + 1)
        return weights


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How tiles are cut: all begin at multiples of ``step``, and ``margin`` pixels at an edge with a neighbour are not
    used, since they would be otherwise if the tile saw more of the image. At the image's own edges all are."""

    side: int
    margin: int
    step: int

    @property
    def overlap(self) -> int:
        """Of neighbours, in pixels: at the least."""
        return _up(2 * self.margin + BLEND, self.step)

    @property
    def least_side(self) -> int:
        """A smaller tile would be nothing but overlap."""
        return self.overlap + self.step

    def spans(self, length: int) -> list[Span]:
        """The tiles along an axis: one, where it is no longer than ``side``; else as few as can be, all of one size.

        Raises:
            ValueError: ``side`` is less than ``least_side``.
        """
        if length <= self.side:
            return [Span(start=0, stop=length, first=0, settled=0, last=length)]
        most, overlap = self.side // self.step * self.step, self.overlap
        if most < self.least_side:
            raise ValueError(f"tiles of {self.side} pixels, which overlap by {overlap}")
        count = -(-(length - overlap) // (most - overlap))
        size = min(most, _up(-(-(length + (count - 1) * overlap) // count), self.step))
        begin = [number * (size - overlap) for number in range(count - 1)]
        begin.append(_up(length - size, self.step))
        ends = [start + size for start in begin[:-1]] + [length]
        first = [0, *(start + self.margin for start in begin[1:])]
        last = [*(stop - self.margin for stop in ends[:-1]), length]
        settled = [0, *(end for end in last[:-1])]
        return [
            Span(start=b, stop=e, first=f, settled=s, last=x)
            for b, e, f, s, x in zip(begin, ends, first, settled, last, strict=True)
        ]


def tiles(tiling: Tiling, height: int, width: int) -> Iterator[tuple[Span, Span]]:
    """The tiles of an image, rows first: each as its spans along height and width."""
    return product(tiling.spans(height), tiling.spans(width))


def blend(image: np.ndarray, tile: np.ndarray, rows: Span, columns: Span) -> None:
    """Put a tile [h, w, C] in its place in an image [H, W, C], in the order of :func:`tiles`.

    ``image`` may end before the tile does. Integers are rounded to the nearest.
    """
    weights = rows.weights()[:, None, None] * columns.weights()[:, None]
    there = image[rows.first : rows.last, columns.first : columns.last]
    height, width = there.shape[:2]
    top, left = rows.first - rows.start, columns.first - columns.start
    new = tile[top : top + height, left : left + width]
    if weights.min() == 1.0:
        there[:] = new
        return
    # What both have in common stays as it is, to the last bit.
    mixed = there + weights[:height, :width] * (new.astype(np.float32) - there)
    there[:] = np.rint(mixed) if image.dtype.kind == "u" else mixed


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
