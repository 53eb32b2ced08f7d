from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from aedeploy.errors import ConfigError, ImageError
from aedeploy.images.batches import batches
from aedeploy.images.geometry import Geometry

GREY = Geometry(mode="L", height=4, width=6)
COLOUR = Geometry(mode="RGB", height=4, width=6)


def joined(images: Any, geometry: Geometry = GREY, size: int = 2) -> np.ndarray:
    return np.concatenate(list(batches(images, geometry, size)))


def test_paths_pil_images_and_arrays_give_the_same(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    taken = joined([tmp_path / "a.png", str(tmp_path / "a.png"), image, pixels, pixels[:, :, None]])
    assert taken.shape == (5, 4, 6, 1)
    assert (taken == pixels[:, :, None]).all()


def test_one_array_holds_all_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    assert (joined(pixels, COLOUR) == pixels).all()
    assert (joined(pixels[..., 0], GREY) == pixels[..., :1]).all()
    larger = np.full((3, 9, 9, 3), 7, np.uint8)
    assert (joined(larger, COLOUR) == 7).all()


def test_batches_are_as_large_as_asked_and_read_when_due() -> None:
    taken = []

    def images() -> Iterator[Image.Image]:
        for number in range(5):
            taken.append(number)
            yield Image.new("L", (6, 4))

    found = batches(images(), GREY, 2)
    assert len(next(found)) == 2
    assert taken == [0, 1]
    assert [len(batch) for batch in found] == [2, 1]


def test_a_pil_image_is_turned_upright_and_left_as_it_was() -> None:
    image = Image.new("L", (4, 6))
    image.info["exif"] = _exif(6)
    image.putpixel((0, 0), 255)
    (upright,) = joined([image])
    assert upright[0, 5] == 255
    assert image.size == (4, 6)


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("photo.jpg", "not one str"),
        (Path("photo.jpg"), "not one PosixPath"),
        (Image.new("L", (4, 4)), "not one Image"),
        (7, "not one int"),
        (np.zeros((2, 4, 6), np.float32), "uint8 [N, H, W, 1] or [N, H, W], and is float32 [2, 4, 6]"),
        (np.zeros((2, 4, 6, 3), np.uint8), "is uint8 [2, 4, 6, 3]"),
        (np.zeros((4, 6), np.uint8), "is uint8 [4, 6]"),
        ([np.zeros((4, 6), np.float64)], "Image 0 must be uint8 [H, W, 1] or [H, W], and is float64"),
        ([3.5], "Image 0 is a float"),
    ],
)
def test_nothing_is_guessed(images: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        joined(images)


def test_a_grey_array_is_no_colour_image() -> None:
    with pytest.raises(ConfigError, match=re.escape("uint8 [N, H, W, 3], and is uint8 [2, 4, 6]")):
        joined(np.zeros((2, 4, 6), np.uint8), COLOUR)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"bad\.png: it is not an image of a known format"):
        joined([tmp_path / "bad.png"])
    with pytest.raises(ImageError, match=r"^Image 1: its pixels are floating-point numbers"):
        joined([Image.new("L", (4, 4)), Image.new("F", (4, 4))])
