"""What the gallery measures: from arrays to numbers, nothing of bundles or sentences.

Images are uint8 [N, H, W, C]; latents are rows of numbers, [N, D]; labels are [N].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from aedeploy.pictures.kinds.interpolation import largest_step, linear
from aedeploy.pictures.kinds.manifold import data_steps, grid

#: Of ten real images that are the nearest by their pixels, so many must have one label for an image to be "clear".
CLEAR, NEIGHBOURS = 8, 10
#: A place of a map is empty where no latent is within this share of the map's width.
EMPTY = 0.05
# Numbers of a table of distances at a time.
_BLOCK = 2**22


@dataclass(frozen=True)
class RealImages:
    """Images with labels that others are judged by: those that the models were trained on."""

    pixels: np.ndarray
    labels: np.ndarray

    @cached_property
    def _rows(self) -> np.ndarray:
        return _rows(self.pixels)

    def clear(self, images: np.ndarray) -> float:
        """The share of images that are like one class: of the ten real images that are the nearest to them by their
        pixels, eight or more have the same label.
        """
        if not len(images):
            return float("nan")
        classes, numbers = np.unique(self.labels, return_inverse=True)
        squares = np.square(self._rows).sum(axis=1)
        clear = 0
        for part in _blocks(_rows(images), len(self._rows)):
            distance = squares - 2.0 * part @ self._rows.T
            nearest = numbers[np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]]
            most = np.stack([(nearest == at).sum(axis=1) for at in range(len(classes))]).max(axis=0)
            clear += int((most >= CLEAR).sum())
        return clear / len(images)


def _rows(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255.0)


def _blocks(rows: np.ndarray, others: int) -> Sequence[np.ndarray]:
    return np.array_split(rows, max(1, -(-len(rows) * others // _BLOCK)))


def empty(latents: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether a place of the plane, [M, 2], is farther from every latent, [N, 2], than 5 % of the map's width, which in
    each direction is what holds the middle 98 % of the latents: bool [M].
    """
    low, high = np.quantile(latents.astype(np.float64), [0.01, 0.99], axis=0)
    points, asked = latents / (high - low), places / (high - low)
    nearest = [np.square(part[:, None] - points[None]).sum(axis=2).min(axis=1) for part in _blocks(asked, len(points))]
    return np.concatenate(nearest) > EMPTY**2


def crossings(
    latents: np.ndarray, labels: np.ndarray, ways: int = 60, seed: int = 0
) -> tuple[dict[tuple[str, str], float], np.ndarray]:
    """Of each pair of classes the share of straight ways between two of their latents, [N, 2], that cross an empty
    place, looked at in 21 places each; and all those places: float32 [M, 2].
    """
    random = np.random.default_rng(seed)
    share = np.linspace(0.0, 1.0, 21)[None, :, None]
    found, places = {}, []
    for first, last in combinations(np.unique(labels), 2):
        start, stop = (latents[random.choice(np.flatnonzero(labels == name), ways)] for name in (first, last))
        way = (1.0 - share) * start[:, None] + share * stop[:, None]
        gone = empty(latents, way.reshape(-1, 2)).reshape(ways, -1)
        found[str(first), str(last)] = float(gone.any(axis=1).mean())
        places.append(way[gone])
    return found, np.concatenate(places).astype(np.float32)


def heap_crossings(images: int, draws: int = 5) -> float:
    """The same in a round heap of as many points of N(0, I), which has no gaps, as the mean of some."""
    shares = []
    for seed in range(draws):
        random = np.random.default_rng(seed)
        points, labels = random.standard_normal((images, 2)), random.integers(0, 10, images).astype(str)
        shares.append(np.mean(list(crossings(points, labels)[0].values())))
    return float(np.mean(shares))


def different_pairs(labels: np.ndarray, count: int = 200, seed: int = 0) -> np.ndarray:
    """Pairs of images with different labels, drawn at random: int64 [count, 2]."""
    pairs = np.random.default_rng(seed).integers(0, len(labels), (8 * count, 2))
    return pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]][:count]


def strips(decode: Callable[[np.ndarray], np.ndarray], latents: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Of straight ways of 11 images, the largest step by the mean step of each: float64 [pairs]."""
    return np.array([largest_step(decode(linear(latents[a], latents[b], 11))) for a, b in pairs])


def unevenness(decode: Callable[[np.ndarray], np.ndarray], latents: np.ndarray, side: int = 40) -> float:
    """By how much neighbours of a decoded grid over the latents' range differ: the 99th percentile by the median."""
    images = decode(grid(*(data_steps(latents[:, at], side) for at in range(2))))
    values = _rows(images).reshape(side, side, -1)
    steps = [np.sqrt(np.square(np.diff(values, axis=at)).mean(axis=2)).ravel() for at in range(2)]
    found = np.concatenate(steps)
    return float(np.quantile(found, 0.99) / np.median(found))


def stride_energy(images: np.ndarray, stride: int = 2) -> float:
    """How strong a pattern that repeats with the stride is: the standard deviation of the mean brightness of the
    stride × stride kinds of pixels, by the mean brightness. 0: none; 1: a checkerboard of black and white.

    It is the square root of the energy that the mean image has at the stride's frequencies, by that at frequency 0.
    """
    values = images.astype(np.float64).mean(axis=(0, 3))
    height, width = (size - size % stride for size in values.shape)
    phases = values[:height, :width].reshape(height // stride, stride, width // stride, stride).mean(axis=(0, 2))
    return float(phases.std() / phases.mean())


def evenness(filters: np.ndarray) -> np.ndarray:
    """|Σ w| / Σ |w| of each filter, [K, h, w, C]: 1 where it weighs ink alike, 0 where it answers to edges only."""
    rows = filters.reshape(len(filters), -1).astype(np.float64)
    return np.abs(rows.sum(axis=1)) / np.abs(rows).sum(axis=1)


def same_class(latents: np.ndarray, labels: np.ndarray, count: int = 2000, seed: int = 0) -> tuple[float, float]:
    """How often z₁ + z₂ − z₃, with z₂ and z₃ of one class and z₁ of another, is nearest to the mean latent of the class
    of z₁; and how often z₁ itself is.
    """
    rows = latents.astype(np.float64)
    names = np.unique(labels)
    centres = np.stack([rows[labels == name].mean(axis=0) for name in names])

    def nearest(points: np.ndarray) -> np.ndarray:
        return names[np.stack([np.square(points - centre).sum(axis=1) for centre in centres]).argmin(axis=0)]

    drawn = np.random.default_rng(seed).integers(0, len(rows), (40 * count, 3))
    first, plus, minus = labels[drawn].T
    fit = (plus == minus) & (first != plus) & (drawn[:, 1] != drawn[:, 2])
    a, b, c = drawn[fit][:count].T
    return float((nearest(rows[a] + rows[b] - rows[c]) == labels[a]).mean()), float((nearest(rows) == labels).mean())


def shape_factors(images: np.ndarray) -> Mapping[str, np.ndarray]:
    """What one sees at once of each drawing, by its moments: float64 [N] each.

    ``ink``: mean brightness; ``width`` and ``height``: standard deviations of where the ink is; ``slant``: how far it
    leans to the right for each pixel up.
    """
    values = images.astype(np.float64).mean(axis=3) + 1e-9
    weight = values / values.sum(axis=(1, 2), keepdims=True)
    down, right = np.mgrid[: values.shape[1], : values.shape[2]].astype(np.float64)
    y = down - (weight * down).sum(axis=(1, 2))[:, None, None]
    x = right - (weight * right).sum(axis=(1, 2))[:, None, None]
    height, width = ((weight * at * at).sum(axis=(1, 2)) for at in (y, x))
    slant = -(weight * x * y).sum(axis=(1, 2)) / height
    return {"ink": values.mean(axis=(1, 2)), "width": np.sqrt(width), "height": np.sqrt(height), "slant": slant}


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's; 0 where one of them does not vary."""
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (first, second)]
    if any(np.ptp(rank) == 0.0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])
