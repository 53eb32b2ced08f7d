from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aedeploy.errors import ConfigError, ImageError
from aedeploy.images.read import read_picture
from aedeploy.images.write import ImageOptions, image_bytes, png_of, write_png

RNG = np.random.default_rng(0)

LOSSLESS = [
    {"format": "png"},
    {"format": "png", "compression": 9},
    {"format": "png", "compression": 0},
    {"format": "webp", "compression": "lossless"},
    {"format": "tiff"},
    {"format": "tiff", "compression": "none"},
    {"format": "tiff", "compression": "lzw"},
]


def smooth(height: int, width: int) -> np.ndarray:
    """A picture that lossy formats keep well: uint8 [H, W, 3]."""
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 130, width))
    return np.stack([ramp, ramp[::-1], np.full_like(ramp, 30)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("options", LOSSLESS, ids=str)
@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_lossless_formats_keep_every_pixel_and_what_is_hidden(
    options: dict[str, Any], with_alpha: bool, channels: int, mode: Any
) -> None:
    pixels = RNG.integers(0, 256, (9, 7, channels), np.uint8)
    alpha = RNG.integers(0, 2, (9, 7), np.uint8) * 255 if with_alpha else None
    picture = read_picture(image_bytes(pixels, ImageOptions(**options), alpha=alpha), mode, alpha=True)
    assert (np.asarray(picture.image).reshape(pixels.shape) == pixels).all()
    assert (picture.alpha is not None) == with_alpha
    if picture.alpha is not None:
        assert (np.asarray(picture.alpha) == alpha).all()


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_lossy_formats_stay_near_and_quality_counts(format: Any) -> None:
    pixels = smooth(64, 96)
    sizes = []
    for quality in (30, None, 100):
        data = image_bytes(pixels, ImageOptions(format=format, quality=quality))
        sizes.append(len(data))
        read = np.asarray(read_picture(data, "RGB").image).astype(int)
        # Red, green and blue are where they were.
        assert np.abs(read - pixels).mean() < 4
    assert sizes[0] < sizes[1] < sizes[2]
    grey = image_bytes(pixels[:, :, :1], ImageOptions(format=format))
    assert np.abs(np.asarray(read_picture(grey, "L").image).astype(int) - pixels[:, :, 0]).mean() < 4


@pytest.mark.parametrize("options", [each for each in LOSSLESS if each["format"] != "webp"], ids=str)
def test_sixteen_bits_of_grey_are_kept(options: dict[str, Any]) -> None:
    words = RNG.integers(0, 2**16, (9, 7, 1), np.uint16)
    picture = read_picture(image_bytes(words, ImageOptions(**options)), "L", deep=True)
    assert picture.depth == 16
    assert (np.asarray(picture.image) == words[:, :, 0]).all()


@pytest.mark.parametrize("format", ["jpeg", "webp", "tiff"])
def test_sixteen_bits_become_eight_where_there_are_no_more(format: Any) -> None:
    words = np.full((16, 16, 3), 40_000, np.uint16)
    read = np.asarray(read_picture(image_bytes(words, ImageOptions(format=format)), "RGB").image)
    assert np.abs(read.astype(int) - 156).max() <= 1


def test_jpeg_has_no_alpha_and_shows_the_colours() -> None:
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    data = image_bytes(pixels, ImageOptions(format="jpeg"), alpha=np.zeros((16, 16), np.uint8))
    picture = read_picture(data, "RGB", alpha=True)
    assert picture.alpha is None
    assert np.abs(np.asarray(picture.image).astype(int) - (200, 100, 50)).max() <= 4


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
@pytest.mark.parametrize("compression", [None, "other"])
def test_notes_are_in_the_metadata(format: Any, compression: str | None) -> None:
    other = {"png": 6, "webp": "lossless", "tiff": "lzw"}.get(format)
    options = ImageOptions(format=format, compression=other if compression else None)
    data = image_bytes(smooth(16, 16), options, notes={"aedeploy.decode": "scaled", "of": "größe"})
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.format == format.upper()
        if format == "png":
            assert image.text == {"aedeploy.decode": "scaled", "of": "größe"}
        else:
            text = {
                "jpeg": lambda: image.info["comment"],
                "tiff": lambda: image.tag_v2[270].encode("latin-1"),
                "webp": lambda: image.getexif()[270].encode("latin-1"),
            }[format]()
            assert text.decode().splitlines() == ["aedeploy.decode: scaled", "of: größe"]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_the_same_pixels_give_the_same_bytes_without_a_profile(format: Any) -> None:
    options = ImageOptions(format=format)
    data = image_bytes(smooth(16, 16), options)
    assert data == image_bytes(smooth(16, 16), options)
    with Image.open(io.BytesIO(data)) as image:
        assert "icc_profile" not in image.info
    assert read_picture(data, "RGB", name="a" + options.extension).size == (16, 16)


def test_what_a_format_supports_is_known() -> None:
    known = {format: ImageOptions(format=format) for format in ("png", "jpeg", "webp", "tiff")}
    assert [options.extension for options in known.values()] == [".png", ".jpg", ".webp", ".tif"]
    assert [options.supports_alpha for options in known.values()] == [True, False, True, True]
    assert [options.supports_depth16 for options in known.values()] == [True, False, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "gif"}, "png, jpeg, webp or tiff, not 'gif'"),
        ({"quality": 90}, "A png file keeps every pixel"),
        ({"format": "jpeg", "quality": 0}, "from 1 to 100, not 0"),
        ({"format": "webp", "quality": 101}, "from 1 to 100, not 101"),
        ({"compression": 10}, "a level from 0 to 9, not 10"),
        ({"compression": "deflate"}, "a level from 0 to 9, not 'deflate'"),
        ({"format": "jpeg", "compression": "lossless"}, "of a jpeg file: give --quality"),
        ({"format": "tiff", "compression": "zip"}, "it is none, deflate, lzw"),
        ({"format": "webp", "compression": 6}, "it is lossless"),
        ({"format": "webp", "compression": "lossless", "quality": 5}, "not both"),
    ],
)
def test_an_option_that_a_format_has_not_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageOptions(**options)


def test_a_level_may_come_as_text_and_is_the_same() -> None:
    assert ImageOptions(compression="6") == ImageOptions(compression=6)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_an_image_larger_than_the_format_holds_is_refused_with_a_reason(format: Any) -> None:
    with pytest.raises(ImageError, match="no more than"):
        image_bytes(np.zeros((1, 70_000, 1), np.uint8), ImageOptions(format=format))


def test_the_short_form_is_the_default() -> None:
    pixels = smooth(16, 16)
    assert png_of(pixels) == image_bytes(pixels, ImageOptions())


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_what_is_written_reads_back_to_the_bit(tmp_path: Path, channels: int, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    write_png(tmp_path / "a.png", pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == mode
        assert (np.asarray(image).reshape(pixels.shape) == pixels).all()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(OSError, match="directory"):
        write_png(target, np.zeros((2, 2, 1), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (target / "kept").exists()
