"""How much of what a denoiser gives is taken: the rest is the image as it was."""

from __future__ import annotations

import numpy as np

from aedeploy.images.pixels import to_bytes, to_floats, to_words


def mixed(pixels_NHWC: np.ndarray, clean: np.ndarray, strength: float) -> np.ndarray:
    """``strength`` · clean + (1 − ``strength``) · pixels, as float32 [N, C, H, W] where white is 1.

    ``pixels_NHWC``: uint8, uint16, or float32 where white is 1. ``clean``: float32 [N, C, H, W] where white is 1, or
    uint8 [N, H, W, C] of a graph that rounds by itself.
    """
    rest = pixels_NHWC.transpose(0, 3, 1, 2).copy() if pixels_NHWC.dtype == np.float32 else to_floats(pixels_NHWC)
    rest *= np.float32(1.0 - strength)
    rest += np.float32(strength) * (to_floats(clean) if clean.dtype == np.uint8 else clean)
    return rest


def blended(pixels_HWC: np.ndarray, clean_HWC: np.ndarray, strength: float) -> np.ndarray:
    """As :func:`mixed`, of one image, in the dtype of ``pixels_HWC``: rounded once, [H, W, C].

    ``clean_HWC``: float32 where white is 1, or uint8.
    """
    dtype = pixels_HWC.dtype
    if strength == 0.0:
        return pixels_HWC.copy()
    if strength == 1.0 and clean_HWC.dtype == dtype:
        return clean_HWC
    clean = clean_HWC[None] if clean_HWC.dtype == np.uint8 else clean_HWC.transpose(2, 0, 1)[None]
    values = mixed(pixels_HWC[None], clean, strength)
    if dtype == np.float32:
        image: np.ndarray = np.ascontiguousarray(values[0].transpose(1, 2, 0))
    else:
        image = (to_bytes if dtype == np.uint8 else to_words)(values)[0]
    return image
