"""Images with noise on them, written and read back, for tests of denoisers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def slopes(height: int, width: int, channels: int = 1) -> np.ndarray:
    """float64 [H, W, C] in levels of 255: smooth, each channel its own."""
    ys, xs = np.mgrid[: 1 : height * 1j, : 1 : width * 1j]
    return np.stack([80 + 60 * ys + 40 * xs + 10 * channel for channel in range(channels)], axis=2)


def noisy(
    height: int, width: int, channels: int = 1, sigma: float = 20.0, seed: int = 0, dtype: Any = np.uint8
) -> np.ndarray:
    """[H, W, C] of uint8, uint16 or float32: slopes, and noise on them. Floats, white being 1, are not clipped."""
    values = slopes(height, width, channels) + np.random.default_rng(seed).normal(0, sigma, (height, width, channels))
    if dtype == np.float32:
        return (values / 255).astype(np.float32)
    white = np.iinfo(dtype).max
    return np.clip(np.rint(values * (white / 255)), 0, white).astype(dtype)


def words(height: int, width: int) -> np.ndarray:
    """uint16 [H, W, 1], as :func:`noisy` but not rounded to bytes."""
    return noisy(height, width, dtype=np.uint16)


def write(path: Path, pixels: np.ndarray, **options: Any) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path, **options)
    return pixels


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def in_bytes(image: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(image * np.float32(255)).astype(np.uint8)
    return rounded


def assert_nearly(made: np.ndarray, expected: np.ndarray) -> None:
    """The same but where a value lies at the edge between two: sums are not in the same order."""
    assert made.shape == expected.shape
    assert made.dtype == expected.dtype
    differences = np.abs(made.astype(int) - expected.astype(int))
    assert differences.max() <= 1
    assert np.count_nonzero(differences) <= 0.01 * differences.size
