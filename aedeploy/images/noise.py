"""Noise put on images, to try a denoiser: the same wherever and whenever."""

from __future__ import annotations

import numpy as np

_SEED = 20_26


def sigma_maps(batch: int, height: int, width: int, maximum: float) -> np.ndarray:
    """How much noise, for a graph that is told: float32 [batch, 1, height, width], from 0 to ``maximum``.

    Every other image has the same everywhere, as most have in use; the rest have more from the upper left to the lower
    right, so that a map which is turned, or taken for one number, gives itself away.
    """
    maps = np.empty((batch, 1, height, width), np.float32)
    rows, columns = np.indices((height, width), np.float32)
    slope = (rows / height + 2 * columns / width) / 3
    for at in range(batch):
        level = maximum * (0.45 + 0.37 * at) % maximum
        maps[at, 0] = level if at % 2 == 0 else maximum * slope
    return maps


def noisy(images_NHWC: np.ndarray, sigma_N1HW: np.ndarray) -> np.ndarray:
    """Images, uint8 [N, H, W, C], with gaussian noise of those levels of 255, clipped and rounded to bytes again."""
    noise = np.random.default_rng(_SEED).standard_normal(images_NHWC.shape)
    noise *= sigma_N1HW.transpose(0, 2, 3, 1)
    return np.clip(np.rint(images_NHWC + noise), 0, 255).astype(np.uint8)
