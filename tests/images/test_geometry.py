from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aedeploy.errors import ImageError
from aedeploy.images.geometry import Geometry, Placement, Resize, resized, restored, restored_alpha
from aedeploy.images.read import Picture


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


def picture(pixels: np.ndarray) -> Picture:
    image = Image.fromarray(pixels)
    return Picture(image, None, 16 if pixels.dtype == np.uint16 else 8, image.size)


def quarters(height: int, width: int) -> np.ndarray:
    """Four colours, one in each quarter: [H, W, 3]."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 0)
    return pixels


RESIZES = ["exact", "fit", "crop"]


@pytest.mark.parametrize("resize", RESIZES)
def test_channels_stay_red_green_blue_and_the_left_stays_left(resize: Resize) -> None:
    geometry = Geometry(mode="RGB", height=32, width=32, resize=resize)
    pixels, placement = geometry.place(picture(quarters(80, 120)))
    left, upper, right, lower = placement.frame or (0, 0, 32, 32)
    corners = pixels[upper + 2, left + 2], pixels[upper + 2, right - 3], pixels[lower - 3, left + 2]
    assert [corner.tolist() for corner in corners] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    back = restored(pixels, placement)
    assert back.shape == (80, 80 if resize == "crop" else 120, 3)
    assert [back[y, x].tolist() for y, x in ((5, 5), (5, -5), (-5, 5))] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


@pytest.mark.parametrize("resize", RESIZES)
def test_an_image_of_the_models_size_is_as_it_was_in_every_mode(resize: Resize) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6), np.uint8)
    placed, placement = Geometry(mode="L", height=8, width=6, resize=resize).place(picture(pixels))
    assert (placed[:, :, 0] == pixels).all()
    assert placement == Placement((6, 8))
    assert restored(placed, placement) is placed


def test_fit_shows_all_of_it_in_its_own_aspect_in_the_middle_of_black() -> None:
    placed, placement = Geometry(mode="L", height=40, width=32, resize="fit").place(
        picture(np.full((30, 60), 200, np.uint8))
    )
    assert placement.frame == (0, 12, 32, 28)
    assert (placed[12:28] == 200).all()
    assert (placed[:12] == 0).all()
    assert (placed[28:] == 0).all()
    # What a model makes of the black beside it does not come back.
    placed = placed.copy()
    placed[:12] = 99
    assert (restored(placed, placement) == 200).all()
    assert restored(placed, placement).shape == (30, 60, 1)


def test_crop_shows_the_middle_and_gives_that_back() -> None:
    pixels = np.zeros((30, 60), np.uint8)
    pixels[:, 15:45] = 200
    placed, placement = Geometry(mode="L", height=10, width=10, resize="crop").place(picture(pixels))
    assert placement.shown == (15, 0, 45, 30)
    # As when the whole is resized and then cut: at the edge, what lies beyond it has its share.
    assert (placed[:, 1:-1] == 200).all()
    assert (placed > 150).all()
    assert placement.size == (30, 30)
    assert restored(placed, placement).shape == (30, 30, 1)


def test_of_a_picture_that_was_decoded_smaller_the_same_is_shown() -> None:
    whole = Image.fromarray(quarters(240, 480))
    half = Picture(whole.reduce(2), None, 8, whole.size, scaled=True)
    for resize in RESIZES:
        geometry = Geometry(mode="RGB", height=30, width=40, resize=resize)
        (full, placement), (scaled, same) = geometry.place(Picture(whole, None, 8, whole.size)), geometry.place(half)
        assert same == placement
        assert same.own == (480, 240)
        assert np.abs(full.astype(int) - scaled).mean() < 3


def test_a_picture_decoded_to_just_the_models_size_knows_its_own() -> None:
    small = Picture(Image.new("L", (6, 4)), None, 8, (48, 32), scaled=True)
    placed, placement = Geometry(mode="L", height=4, width=6).place(small)
    assert restored(placed, placement).shape == (32, 48, 1)


@pytest.mark.parametrize("resize", RESIZES)
def test_sixteen_bits_stay_sixteen_there_and_back(resize: Resize) -> None:
    words = np.full((30, 60), 40_001, np.uint16)
    placed, placement = Geometry(mode="L", height=10, width=10, resize=resize).place(picture(words))
    assert placed.dtype == np.uint16
    assert placed.shape == (10, 10, 1)
    back = restored(placed, placement)
    assert back.dtype == np.uint16
    assert (back == 40_001).all()


def test_sixteen_bit_colours_are_resized_too() -> None:
    words = np.zeros((4, 6, 3), np.uint16)
    words[:] = (1000, 20_000, 65_535)
    back = resized(words, (13, 7))
    assert back.dtype == np.uint16
    assert (back == (1000, 20_000, 65_535)).all()


sides = st.integers(1, 90)


@given(sides, sides, sides, sides, st.sampled_from(RESIZES), st.sampled_from([np.uint8, np.uint16]))
def test_whatever_the_sizes_what_is_placed_comes_back(
    own_height: int, own_width: int, height: int, width: int, resize: Resize, dtype: type
) -> None:
    geometry = Geometry(mode="L", height=height, width=width, resize=resize)
    placed, placement = geometry.place(picture(np.full((own_height, own_width), 77, dtype)))
    assert placed.shape == (height, width, 1)
    assert placed.dtype == dtype
    back = restored(placed, placement)
    assert back.shape == (placement.size[1], placement.size[0], 1)
    assert (back == 77).all()
    alpha = np.full((own_height, own_width), 50, np.uint8)
    assert restored_alpha(alpha, placement).shape == back.shape[:2]
    if placement.frame is not None:
        left, upper, right, lower = placement.frame
        assert right - left == width or lower - upper == height
        # The aspect is its own, to the nearest pixel.
        scale = min(width / own_width, height / own_height)
        assert abs(right - left - own_width * scale) <= 1
        assert abs(lower - upper - own_height * scale) <= 1
    if placement.shown is not None:
        assert placement.size[0] == own_width or placement.size[1] == own_height


def test_alpha_comes_back_of_the_region_that_was_shown() -> None:
    alpha = np.tile(np.arange(60, dtype=np.uint8), (30, 1))
    for resize, expected in (("exact", alpha), ("fit", alpha), ("crop", alpha[:, 15:45])):
        _, placement = Geometry(mode="L", height=10, width=10, resize=resize).place(picture(alpha))
        assert (restored_alpha(alpha, placement) == expected).all()
