"""Bytes ↔ the float values that graphs compute with: a byte b is b / 255, and back it is the nearest."""

from __future__ import annotations

import numpy as np

_WHITE = np.float32(255.0)
_WHITE_16 = np.float32(65535.0)


def to_floats(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 [N, H, W, C] → float32 [N, C, H, W] in [0, 1]: divided by 255 or 65535."""
    white = _WHITE_16 if pixels.dtype == np.uint16 else _WHITE
    floats: np.ndarray = np.divide(pixels.transpose(0, 3, 1, 2), white, dtype=np.float32, order="C")
    return floats


def to_bytes(values: np.ndarray) -> np.ndarray:
    """float32 [N, C, H, W] in [0, 1] → uint8 [N, H, W, C], rounded to the nearest. Values must be finite."""
    return _rounded(values, _WHITE, np.uint8)


def to_words(values: np.ndarray) -> np.ndarray:
    """float32 [N, C, H, W] in [0, 1] → uint16 [N, H, W, C], rounded to the nearest. Values must be finite."""
    return _rounded(values, _WHITE_16, np.uint16)


def _rounded(values: np.ndarray, white: np.float32, dtype: type[np.uint8] | type[np.uint16]) -> np.ndarray:
    scaled = np.rint(values * white)
    return np.ascontiguousarray(np.clip(scaled, 0, white, out=scaled).astype(dtype).transpose(0, 2, 3, 1))
