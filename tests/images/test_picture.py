"""What :func:`read_picture` keeps beside the colours: alpha, 16 bits, the size in full of what was decoded smaller."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from aedeploy.images.read import read_image, read_picture

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)

COLOURS = np.array(
    [[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(255, 255, 0), (0, 255, 255), (10, 20, 30)]], dtype=np.uint8
)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


RGBA = np.dstack([COLOURS, np.array([[0, 128, 255], [1, 2, 3]], np.uint8)])


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "TGA", "QOI"])
def test_alpha_is_kept_beside_the_colours_that_are_stored(format: str) -> None:
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    data = encoded(Image.fromarray(RGBA), format, **options)
    picture = read_picture(data, "RGB", alpha=True)
    assert (np.asarray(picture.image) == COLOURS).all()
    assert picture.alpha is not None
    assert (np.asarray(picture.alpha) == RGBA[:, :, 3]).all()
    assert read_picture(data, "RGB").alpha is None


def test_what_is_opaque_has_no_alpha() -> None:
    opaque = np.dstack([COLOURS, np.full((2, 3), 255, np.uint8)])
    assert read_picture(encoded(Image.fromarray(opaque)), "RGB", alpha=True).alpha is None
    assert read_picture(encoded(Image.fromarray(COLOURS)), "RGB", alpha=True).alpha is None


def test_every_way_to_say_transparent_gives_alpha() -> None:
    palette = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    kinds = {
        "grey and alpha": encoded(Image.fromarray(np.array([[[7, 0], [8, 255]]], np.uint8))),
        "a grey": encoded(Image.fromarray(np.array([[7, 8]], np.uint8)), transparency=7),
        "a grey of 16 bits": encoded(Image.fromarray(np.array([[7, 8]], np.uint16)), transparency=7),
        "a colour": encoded(Image.fromarray(COLOURS), transparency=(255, 0, 0)),
        "black": encoded(Image.fromarray(np.array([[False, True]])), transparency=0),
        "an entry of a palette": encoded(palette, transparency=0),
        "a palette's own alpha": encoded(palette, transparency=bytes([0, 255, 255])),
        "a GIF's colour": encoded(palette, "GIF", transparency=0),
    }
    for kind, data in kinds.items():
        for mode in ("L", "RGB"):
            alpha = read_picture(data, mode, alpha=True).alpha
            assert alpha is not None, kind
            assert alpha.getpixel((0, 0)) == 0, kind
            assert alpha.getpixel((1, 0)) == 255, kind


def test_alpha_turns_with_its_image() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture = read_picture(encoded(Image.fromarray(RGBA), exif=exif), "RGB", alpha=True)
    assert picture.size == picture.image.size == (2, 3)
    assert picture.alpha is not None
    assert (np.asarray(picture.alpha) == np.rot90(RGBA[:, :, 3], -1)).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bits_of_grey_are_kept_where_they_are_asked_for(format: str) -> None:
    words = np.random.default_rng(0).integers(0, 2**16, (16, 16), np.uint16)
    data = encoded(Image.fromarray(words), format)
    picture = read_picture(data, "L", deep=True)
    assert (picture.depth, picture.image.mode) == (16, "I;16")
    assert (np.asarray(picture.image) == words).all()
    assert read_picture(data, "RGB", deep=True).depth == 8
    assert read_picture(data, "L").depth == 8
    assert read_picture(encoded(Image.fromarray(RAMP), format), "L", deep=True).depth == 8


def test_twelve_bits_are_spread_over_sixteen(shared_data: Path) -> None:
    path = shared_data / "hostile/pillow/12bit.cropped.tif"
    with Image.open(path) as image:
        values = np.asarray(image).astype(float)
    read = np.asarray(read_picture(path, "L", deep=True).image)
    assert np.abs(read - values * 65535 / 4095).max() <= 0.5


def photograph(orientation: int) -> bytes:
    """A JPEG that is 200 × 120 when it is upright."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    size = (120, 200) if orientation >= 5 else (200, 120)
    return encoded(Image.new("RGB", size, (200, 100, 50)), "JPEG", exif=exif)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize(
    ("target", "decoded"),
    [((25, 15), (25, 15)), ((26, 15), (50, 30)), ((50, 30), (50, 30)), ((50, 31), (100, 60)), ((101, 2), (200, 120))],
)
def test_a_jpeg_is_decoded_no_larger_than_needed_and_no_smaller(
    orientation: int, target: tuple[int, int], decoded: tuple[int, int]
) -> None:
    picture = read_picture(photograph(orientation), "RGB", scaled_to=target)
    assert picture.image.size == decoded
    assert picture.size == (200, 120)
    assert picture.scaled == (decoded != (200, 120))


def test_other_formats_are_decoded_in_full() -> None:
    picture = read_picture(encoded(Image.new("RGB", (200, 120))), "RGB", scaled_to=(2, 2))
    assert (picture.image.size, picture.size, picture.scaled) == ((200, 120), (200, 120), False)


def test_the_name_of_content_makes_no_difference_to_its_pixels() -> None:
    data = encoded(Image.fromarray(COLOURS), "TIFF")
    for name in ("a.tif", "a.jpg", "folder/a", ""):
        assert (np.asarray(read_picture(data, "RGB", name=name).image) == COLOURS).all()


def test_what_was_carried_out_is_not_carried_out_again() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for format in ("PNG", "JPEG", "WEBP"):
        assert not read_image(encoded(Image.fromarray(COLOURS), format, exif=exif), "RGB").info


def test_without_a_mode_grey_stays_grey_and_colours_stay_colours() -> None:
    grey, colours = Image.fromarray(RAMP), Image.fromarray(COLOURS)
    kinds = {
        "L": [
            encoded(grey),
            encoded(grey, "JPEG"),
            encoded(grey, "TIFF"),
            encoded(grey.convert("1")),
            encoded(grey.convert("LA")),
            encoded(grey, transparency=7),
            encoded(Image.fromarray(RAMP.astype(np.uint16) * 257)),
        ],
        "RGB": [
            encoded(colours),
            encoded(colours, "JPEG"),
            encoded(Image.fromarray(RGBA)),
            encoded(colours.quantize(4)),
            encoded(colours.convert("CMYK"), "TIFF"),
            encoded(grey.convert("RGB")),
        ],
    }
    for mode, files in kinds.items():
        for number, data in enumerate(files):
            picture = read_picture(data, None, alpha=True)
            assert picture.image.mode == mode, number
            named = read_picture(data, mode, alpha=True)  # type: ignore[arg-type]
            assert picture.image.tobytes() == named.image.tobytes(), number
    assert read_picture(kinds["L"][-1], None, deep=True).depth == 16
