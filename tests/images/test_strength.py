"""How strongly a denoiser's output is mixed in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aedeploy.images.strength import blended


def pixels(dtype: Any) -> np.ndarray:
    random = np.random.default_rng(0)
    if dtype is np.float32:
        return random.random((9, 7, 3), np.float32)
    return random.integers(0, np.iinfo(dtype).max + 1, (9, 7, 3), dtype)


@pytest.mark.parametrize("clean_dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_images_are_mixed_before_they_are_rounded(dtype: Any, clean_dtype: Any) -> None:
    image, clean = pixels(dtype), pixels(clean_dtype)[::-1]
    white, clean_white = (1.0 if kind is np.float32 else np.iinfo(kind).max for kind in (dtype, clean_dtype))
    for strength in (0.0, 0.3, 0.5, 1.0):
        made = blended(image, clean, strength)
        assert (made.dtype, made.shape) == (image.dtype, image.shape)
        expected = white * (strength * clean.astype(float) / clean_white + (1 - strength) * image / white)
        half = 1e-6 if dtype is np.float32 else 0.51
        assert np.abs(made - expected).max() <= half
    assert (blended(image, clean, 0.0) == image).all()
