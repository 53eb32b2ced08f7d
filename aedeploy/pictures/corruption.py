"""What a recipe did to its images in training, done again in NumPy, at one strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# Each does to images, float32 [N, C, H, W] in [0, 1], what the module of training/corruption of its name does; the
# number is the strength, and the mapping the rest of the recipe's table.
_Corruption = Callable[[np.ndarray, float, Mapping[str, Any], np.random.Generator], np.ndarray]


def _gaussian(images: np.ndarray, sigma: float, rest: Mapping[str, Any], random: np.random.Generator) -> np.ndarray:
    noise = random.standard_normal(images.shape, np.float32)
    noise *= np.float32(sigma)
    noise += images
    return noise


def _poisson(images: np.ndarray, peak: float, rest: Mapping[str, Any], random: np.random.Generator) -> np.ndarray:
    photons = random.poisson(np.maximum(images, 0.0) * peak)
    return np.asarray(photons / peak, np.float32)


def _salt(images: np.ndarray, share: float, rest: Mapping[str, Any], random: np.random.Generator) -> np.ndarray:
    chance = random.random((len(images), 1, *images.shape[2:]))
    return np.where(chance < share / 2, np.float32(0.0), np.where(chance < share, np.float32(1.0), images))


def _pixels(images: np.ndarray, share: float, rest: Mapping[str, Any], random: np.random.Generator) -> np.ndarray:
    chance = random.random((len(images), 1, *images.shape[2:]))
    return np.where(chance < share, np.float32(rest.get("value", 0.0)), images)


def _patches(images: np.ndarray, share: float, rest: Mapping[str, Any], random: np.random.Generator) -> np.ndarray:
    size = int(rest.get("size", 4))
    height, width = images.shape[2:]
    chance = random.random((len(images), 1, -(-height // size), -(-width // size)))
    whole = chance.repeat(size, axis=2).repeat(size, axis=3)[..., :height, :width]
    return np.where(whole < share, np.float32(rest.get("value", 0.0)), images)


#: By the name of a recipe's table, the key of its strength, what that is called, and what it does.
CORRUPTIONS: dict[str, tuple[str, str, _Corruption]] = {
    "gaussian": ("sigma", "gaussian noise, σ", _gaussian),
    "poisson": ("peak", "shot noise, photons at white", _poisson),
    "salt-and-pepper": ("share", "salt and pepper, share of pixels", _salt),
    "pixel-mask": ("share", "masked pixels, share", _pixels),
    "patch-mask": ("share", "masked patches, share", _patches),
}


def corrupted(
    images: np.ndarray,
    corruptions: Mapping[str, Mapping[str, Any]],
    strength: float | None,
    random: np.random.Generator,
) -> tuple[np.ndarray, dict[str, float]]:
    """Images, float32 [N, C, H, W] in [0, 1], corrupted by all of a recipe's corruptions; not clipped.

    ``strength``: of the first; by default, and of all others, the middle of the range that training drew from. Also
    gives the strength of each, by its name.
    """
    used = {}
    for at, (name, table) in enumerate(corruptions.items()):
        key, _, corrupt = CORRUPTIONS[name]
        used[name] = float(np.mean(table[key])) if strength is None or at > 0 else strength
        images = corrupt(images, used[name], table, random).astype(np.float32)
    return images, used
