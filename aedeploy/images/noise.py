"""Noise put on images, to try a denoiser: the same wherever and whenever. And how much of it a denoiser takes off."""

from __future__ import annotations

import numpy as np

from aedeploy.images.pixels import to_bytes, to_floats, to_words

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


def blended(pixels_HWC: np.ndarray, clean_HWC: np.ndarray, strength: float) -> np.ndarray:
    """``strength`` · clean + (1 − ``strength``) · pixels, in the dtype of ``pixels_HWC``, rounded once.

    ``pixels_HWC``: uint8, uint16, or float32 where white is 1. ``clean_HWC``: float32, white is 1, or uint8.
    """
    dtype = pixels_HWC.dtype
    if strength == 0.0 or (strength == 1.0 and clean_HWC.dtype == dtype):
        return pixels_HWC.copy() if strength == 0.0 else clean_HWC
    clean = _floats(clean_HWC)
    if strength != 1.0:
        clean = np.float32(strength) * clean + np.float32(1.0 - strength) * _floats(pixels_HWC)
    if dtype == np.float32:
        mixed: np.ndarray = np.ascontiguousarray(clean[0].transpose(1, 2, 0))
    else:
        mixed = (to_bytes if dtype == np.uint8 else to_words)(clean)[0]
    return mixed


def _floats(image_HWC: np.ndarray) -> np.ndarray:
    """As float32 [1, C, H, W], white is 1."""
    if image_HWC.dtype == np.float32:
        return image_HWC[None].transpose(0, 3, 1, 2)
    return to_floats(image_HWC[None])
