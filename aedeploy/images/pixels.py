"""Bytes ↔ the float values that graphs compute with: a byte b is b / 255, and back it is the nearest."""

from __future__ import annotations

import numpy as np

_WHITE = np.float32(255.0)


def to_floats(pixels: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, C] → float32 [N, C, H, W] in [0, 1]."""
    floats: np.ndarray = np.divide(pixels.transpose(0, 3, 1, 2), _WHITE, dtype=np.float32, order="C")
    return floats


def to_bytes(values: np.ndarray) -> np.ndarray:
    """float32 [N, C, H, W] in [0, 1] → uint8 [N, H, W, C], rounded to the nearest. Values must be finite."""
    scaled = np.rint(values * _WHITE)
    return np.ascontiguousarray(np.clip(scaled, 0, 255, out=scaled).astype(np.uint8).transpose(0, 2, 3, 1))
