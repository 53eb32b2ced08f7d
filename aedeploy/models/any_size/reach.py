"""Which places of a tensor a tile computes as the whole image does, along height and along width.

A tile is cut out of a larger image, and each side of it has more image behind it that it does not see. At first all of
its pixels are right; what a convolution makes at its edge is not, since it meets padding where the whole image goes on.
Place p of a tile that begins at pixel t is place p + t / scale of the whole, whatever was padded or cropped on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Literal

import numpy as np

#: In a table of what a place depends on: nothing there.
NOTHING = -(2**62)

Label = Literal["h", "w", ""]


class Unbounded(Exception):  # noqa: N818 - it ends a search, and is no error
    """There is no distance beyond which a pixel depends on nothing; the message completes "because of"."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Height or width of a tensor: bool [n, tiles], and how many pixels of the image a step is.

    Tiles that begin at other places are followed together: what is right may depend on that.
    """

    right: np.ndarray
    scale: Fraction

    def gathered(self, table: np.ndarray, scale: Fraction | int = 1) -> Axis:
        """An axis of which place o depends on the places ``table[o]``; those outside are padding, or not seen."""
        count = len(self.right)
        inside = (table >= 0) & (table < count)
        right = self.right[np.clip(table, 0, count - 1)] & inside[:, :, None]
        return Axis(right=(right | (table == NOTHING)[:, :, None]).all(axis=1), scale=self.scale * scale)


@dataclass(frozen=True)
class Factor:
    """A dimension, or a part of one that a view has joined from several."""

    label: Label
    size: int


Dimension = tuple[Factor, ...]


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A tensor that was made of the image: what each dimension of it is."""

    dimensions: tuple[Dimension, ...]
    h: Axis
    w: Axis

    @property
    def is_image(self) -> bool:
        """Whether it is [batch, channels, height, width]."""
        labels = [[factor.label for factor in dimension] for dimension in self.dimensions]
        return len(labels) == 4 and labels[2:] == [["h"], ["w"]] and not any(map(self.is_spatial, (0, 1)))

    def is_spatial(self, dimension: int) -> bool:
        return any(factor.label for factor in self.dimensions[dimension])

    def length(self, dimension: int) -> int:
        return prod(factor.size for factor in self.dimensions[dimension])

    def with_dimension(self, at: int, dimension: Dimension) -> Traced:
        return self.like((*self.dimensions[:at], dimension, *self.dimensions[at + 1 :]))

    def like(self, dimensions: Sequence[Dimension]) -> Traced:
        return replace(self, dimensions=tuple(dimensions))

    def resized(self, shape: Sequence[int], h: Axis, w: Axis) -> Traced:
        """An image of another size and of other channels."""
        batch, channels = plain(shape[0]), plain(shape[1])
        return Traced(dimensions=(batch, channels, (Factor("h", shape[2]),), (Factor("w", shape[3]),)), h=h, w=w)

    def viewed(self, shape: Sequence[int]) -> Traced:
        """The same values in another shape.

        Raises:
            Unbounded: rows or columns are cut into pieces.
        """
        left = [factor for dimension in self.dimensions for factor in dimension if factor.size > 1 or factor.label]
        dimensions = []
        for size in shape:
            taken: list[Factor] = []
            while prod(factor.size for factor in taken) < size:
                factor = left.pop(0)
                rest = size // prod(factor.size for factor in taken)
                if factor.size > rest:
                    if factor.label or factor.size % rest:
                        raise Unbounded("a view that cuts rows or columns of the image into pieces")
                    left.insert(0, Factor("", factor.size // rest))
                    factor = Factor("", rest)
                taken.append(factor)
            dimensions.append(tuple(taken) or plain(1))
        return self.like(dimensions)


def plain(size: int) -> Dimension:
    """A dimension that has nothing to do with places in the image."""
    return (Factor("", size),)


def joined(one: Traced, other: Traced) -> Traced:
    """What depends on both at the same places.

    Raises:
        Unbounded: their places are not the same.
    """
    axes = []
    for a, b in ((one.h, other.h), (one.w, other.w)):
        if a.scale != b.scale or len(a.right) != len(b.right):
            raise Unbounded("tensors of different resolutions that are combined")
        axes.append(Axis(right=a.right & b.right, scale=a.scale))
    return replace(one, h=axes[0], w=axes[1])


def windows(count: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """What each of ``count`` places of a convolution or a pooling depends on: int64 [count, kernel]."""
    return np.arange(count)[:, None] * stride - padding + np.arange(kernel) * dilation


def scattered(count: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """What each of ``count`` places of a transposed convolution depends on: int64 [count, kernel]."""
    at = np.arange(count)[:, None] + padding - np.arange(kernel) * dilation
    return np.where(at % stride == 0, at // stride, NOTHING)


def nearest(count: int, of: int) -> np.ndarray:
    """Nearest, pixels as points."""
    return (np.arange(count) * of // count)[:, None]


def nearest_centre(count: int, of: int) -> np.ndarray:
    """Nearest, pixels as areas (``nearest-exact``)."""
    return ((2 * np.arange(count) + 1) * of // (2 * count))[:, None]


def linear(count: int, of: int) -> np.ndarray:
    """Bilinear, pixels as areas (``align_corners=False``)."""
    at = (np.arange(count) + 0.5) * of / count - 0.5
    low = np.floor(at).astype(np.int64)
    return np.stack([low, np.where(at > low, low + 1, low)], axis=1)
