"""Principal components: the best linear autoencoder of a size (Baldi & Hornik 1989), to hold a model against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: Up to so many values of an image the covariance of its values is formed, and from there on that of the images.
MOST_VALUES = 3072
#: Images that are fitted to, at most: by the covariance of their values, and by that of themselves.
_MOST_VALUES_HELD = 2**28
_MOST_IMAGES, _MOST_FLOATS_HELD = 2048, 2**25
_LEVELS = 256
_BLOCK = 1024
# Below this share of the largest, a variance is rounding.
_RANK = 1e-10


@dataclass(frozen=True, kw_only=True)
class Components:
    """Principal components: [K, P] orthonormal rows by falling variance, about the mean [P] of ``images`` images.

    Images are rows of their values in [0, 1], channels and places in any order that stays the same.
    """

    mean: np.ndarray
    basis: np.ndarray
    images: int

    def project(self, values_NP: np.ndarray) -> np.ndarray:
        """The coefficients of images: [N, K]."""
        coefficients: np.ndarray = (values_NP - self.mean).astype(self.basis.dtype) @ self.basis.T
        return coefficients

    def restore(self, coefficients_NK: np.ndarray) -> np.ndarray:
        """The images of coefficients, [N, P]; not clipped."""
        restored: np.ndarray = coefficients_NK @ self.basis + self.mean
        return restored


@dataclass(frozen=True, kw_only=True)
class Quantiser:
    """Coefficients in 8 bits each: 256 evenly spaced values between the least and the most of the fitted images."""

    low: np.ndarray
    high: np.ndarray

    def round(self, coefficients_NK: np.ndarray) -> np.ndarray:
        """The nearest of the values that can be stored: [N, K]."""
        step = (self.high - self.low) / (_LEVELS - 1)
        step = np.where(step > 0.0, step, 1.0)
        codes = np.clip(np.rint((coefficients_NK - self.low) / step), 0, _LEVELS - 1)
        rounded: np.ndarray = self.low + codes * step
        return rounded


def most_fitted(values: int) -> int:
    """How many images of so many values are fitted to, at most."""
    if values <= MOST_VALUES:
        return _MOST_VALUES_HELD // values
    return min(_MOST_IMAGES, max(2, _MOST_FLOATS_HELD // values))


def fit_components(pixels_NP: np.ndarray, components: int) -> Components:
    """The first ``components`` of images, uint8 [N, P]; fewer where so many images do not span more.

    Of small images by the eigenvectors of the covariance of their values, of large ones by those of the images' Gram
    matrix, which has the same ones (Turk & Pentland 1991).
    """
    images, values = pixels_NP.shape
    total = np.zeros(values)
    for block in _blocks(pixels_NP):
        total += block.sum(axis=0)
    mean = total / images
    fit = _by_covariance if values <= MOST_VALUES else _by_gram
    return Components(mean=mean, basis=fit(pixels_NP, mean, min(components, images - 1, values)), images=images)


def fit_quantiser(components: Components, pixels_NP: np.ndarray) -> Quantiser:
    """The range of each coefficient over images, uint8 [N, P]."""
    low = np.full(len(components.basis), np.inf)
    high = -low
    for block in _blocks(pixels_NP):
        coefficients = components.project(block)
        low = np.minimum(low, coefficients.min(axis=0))
        high = np.maximum(high, coefficients.max(axis=0))
    return Quantiser(low=low, high=high)


def _by_covariance(pixels_NP: np.ndarray, mean: np.ndarray, components: int) -> np.ndarray:
    values = len(mean)
    covariance = np.zeros((values, values))
    for block in _blocks(pixels_NP):
        centred = block - mean
        covariance += centred.T @ centred
    _, vectors = np.linalg.eigh(covariance)
    # eigh gives them by rising variance.
    return np.ascontiguousarray(vectors[:, ::-1].T[:components])


def _by_gram(pixels_NP: np.ndarray, mean: np.ndarray, components: int) -> np.ndarray:
    centred = np.divide(pixels_NP, np.float32(255.0), dtype=np.float32)
    centred -= mean.astype(np.float32)
    gram = np.zeros((len(centred), len(centred)))
    for start in range(0, centred.shape[1], _BLOCK):
        block = centred[:, start : start + _BLOCK].astype(np.float64)
        gram += block @ block.T
    variances, vectors = np.linalg.eigh(gram)
    rank = int((variances > _RANK * variances[-1]).sum())
    chosen = np.arange(len(variances))[::-1][: min(components, rank)]
    basis = (vectors[:, chosen] / np.sqrt(variances[chosen])).T.astype(np.float32) @ centred
    return np.ascontiguousarray(basis)


def _blocks(pixels_NP: np.ndarray) -> Iterator[np.ndarray]:
    """All rows in [0, 1], float64, some at a time."""
    for start in range(0, len(pixels_NP), _BLOCK):
        yield pixels_NP[start : start + _BLOCK] / 255.0
