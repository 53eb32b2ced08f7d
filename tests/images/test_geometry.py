from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from aedeploy.errors import ImageError
from aedeploy.images.geometry import Geometry, resized


def test_an_image_that_fits_is_as_it_was() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    assert (Geometry(mode="RGB", height=4, width=6).apply(Image.fromarray(pixels)) == pixels).all()


def test_another_size_is_made_to_fit_exactly_whatever_the_aspect() -> None:
    applied = Geometry(mode="L", height=4, width=6).apply(Image.new("RGB", (100, 3), (9, 9, 9)))
    assert applied.shape == (4, 6, 1)
    assert applied.dtype == np.uint8
    assert (applied == 9).all()


def test_reducing_averages_instead_of_picking() -> None:
    checkerboard = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    applied = Geometry(mode="L", height=8, width=8).apply(Image.fromarray(checkerboard))
    assert np.abs(applied.astype(int) - 127).max() <= 16


def test_pixels_without_a_range_are_refused() -> None:
    with pytest.raises(ImageError, match="no range"):
        Geometry(mode="L", height=4, width=4).apply(Image.new("F", (4, 4)))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_original_size_comes_back(channels: int) -> None:
    pixels = np.full((4, 6, channels), 50, np.uint8)
    assert resized(pixels, (6, 4)) is pixels
    assert resized(pixels, (13, 7)).shape == (7, 13, channels)
    assert (resized(pixels, (13, 7)) == 50).all()
