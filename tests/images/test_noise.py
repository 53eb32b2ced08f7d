"""The noisy images that every check uses, and how strongly a denoiser's output is mixed in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aedeploy.images.noise import blended, noisy, sigma_maps


def test_maps_are_flat_and_sloping_by_turns_and_stay_in_range() -> None:
    maps = sigma_maps(6, 12, 20, 55.0)
    assert (maps.dtype, maps.shape) == (np.float32, (6, 1, 12, 20))
    assert maps.min() >= 0
    assert maps.max() <= 55
    for at, (plane,) in enumerate(maps):
        assert (plane.min() == plane.max()) == (at % 2 == 0)
    assert len({float(plane.mean()) for plane in maps[::2]}) == 3
    # Neither turned nor mirrored is it the same.
    sloping = maps[1, 0]
    assert (np.diff(sloping, axis=0) > 0).all()
    assert (np.diff(sloping, axis=1) > 0).all()


def test_the_noise_is_of_that_level_and_always_the_same() -> None:
    images = np.full((2, 200, 300, 3), 128, np.uint8)
    sigma = np.stack([np.full((1, 200, 300), 10, np.float32), np.full((1, 200, 300), 30, np.float32)])
    made = noisy(images, sigma)
    assert (made == noisy(images, sigma)).all()
    assert made.dtype == np.uint8
    assert [float(image.std()) for image in made] == pytest.approx([10, 30], rel=0.02)
    assert (noisy(images, np.zeros_like(sigma)) == images).all()


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
