"""The noisy images that every check uses."""

from __future__ import annotations

import numpy as np
import pytest

from aedeploy.images.noise import noisy, sigma_maps


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
