"""Which images are held out. The same ones for every seed, so that runs which differ in their seed can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from aedeploy.errors import ConfigError

#: Of data without a test set of its own, a tenth is held out, but no more images than this.
MOST_HELD_OUT = 5000


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images to train on and images held out: uint8 [N, H, W, C] each; ``rule`` says in words who went where."""

    train: np.ndarray
    held_out: np.ndarray
    rule: str


def held_out_count(images: int, asked: float | None = None) -> int:
    """How many of ``images`` to hold out. ``asked``: below 1 a share, from 1 on a number, None the default.

    Raises:
        ConfigError: there are fewer than two images, nothing would be left to train on, or half an image is asked for.
    """
    if images < 2:
        raise ConfigError(f"Training needs at least 2 images, one of them held out, and there is {images}.")
    if asked is None:
        return min(max(1, images // 10), MOST_HELD_OUT)
    if asked > 1 and isfinite(asked) and asked != int(asked):
        raise ConfigError(f"--held-out {asked:g} is no number of images: give a whole number, or a share below 1.")
    count = 0 if not isfinite(asked) else round(asked * images) if asked < 1 else round(asked)
    if not 1 <= count < images:
        raise ConfigError(f"--held-out {asked:g} would hold out {count} of {images} images: keep some on both sides.")
    return count


def held_out_indices(images: int, held_out: int) -> np.ndarray:
    """Evenly spaced positions, int64, ascending: of 10,000 images with 1,000 held out, those at 5, 15, 25, …"""
    return (2 * np.arange(held_out) + 1) * images // (2 * held_out)


def split_rule(images: int, held_out: int) -> str:
    """The rule of :func:`held_out_indices` in words, as a manifest records it."""
    return f"{held_out} of {images} images held out, evenly spaced: floor((2i + 1) * {images} / {2 * held_out})"


def split_images(images: np.ndarray, asked: float | None = None) -> Split:
    """Split images without a test set of their own."""
    held_out = held_out_count(len(images), asked)
    kept_back = np.zeros(len(images), dtype=bool)
    kept_back[held_out_indices(len(images), held_out)] = True
    return Split(train=images[~kept_back], held_out=images[kept_back], rule=split_rule(len(images), held_out))
