from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from aedeploy.errors import ImageError
from aedeploy.images.colour import in_mode
from aedeploy.images.read import EXTENSIONS, FORMATS, read_image, read_picture

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)

# Two rows of three: every turn and flip of it differs from every other.
COLOURS = np.array(
    [[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(255, 255, 0), (0, 255, 255), (10, 20, 30)]], dtype=np.uint8
)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def test_channels_come_in_the_order_red_green_blue(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    assert (np.asarray(read_image(tmp_path / "a.png", "RGB")) == COLOURS).all()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_upright(format: str, orientation: int) -> None:
    upright = Image.fromarray(np.kron(COLOURS, np.ones((16, 16, 1), np.uint8)))
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {} if format in ("PNG", "TIFF") else {"quality": 100}

    read = read_image(encoded(stored, format, exif=exif, **options), "RGB")

    assert read.size == upright.size
    centres = np.asarray(read)[8::16, 8::16].astype(int)
    assert np.abs(centres - COLOURS).max() <= 16


def test_broken_exif_leaves_the_pixels_readable() -> None:
    data = encoded(Image.fromarray(COLOURS), exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff broken")
    assert (np.asarray(read_image(data, "RGB")) == COLOURS).all()


def test_an_orientation_that_is_no_number_from_1_to_8_is_left_alone() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 77
    assert (np.asarray(read_image(encoded(Image.fromarray(COLOURS), exif=exif), "RGB")) == COLOURS).all()


def test_sixteen_bits_are_divided_by_257_whatever_the_values() -> None:
    exact = RAMP.astype(np.uint16) * 257
    assert (np.asarray(read_image(encoded(Image.fromarray(exact)), "L")) == RAMP).all()
    # An image that holds only dark values stays dark.
    dark = Image.fromarray(np.full((4, 4), 300, np.uint16))
    assert np.asarray(read_image(encoded(dark), "L")).max() == 1


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bits_of_every_format_give_the_same(format: str) -> None:
    data = encoded(Image.fromarray(RAMP.astype(np.uint16) * 257), format)
    assert (np.asarray(read_image(data, "L")) == RAMP).all()
    assert (np.asarray(read_image(data, "RGB")) == RAMP[:, :, None]).all()


def test_twelve_bits_are_scaled_by_what_the_file_says_of_them(shared_data: Path) -> None:
    path = shared_data / "hostile/pillow/12bit.cropped.tif"
    with Image.open(path) as image:
        values = np.asarray(image).astype(float)
    read = np.asarray(read_image(path, "L"))
    assert np.abs(read - values * 255 / 4095).max() <= 0.5
    # A dark picture: by the range of 16 bits it would be all black.
    assert read.max() == 2


def test_one_bit_is_black_and_white() -> None:
    image = Image.fromarray(RAMP > 127)
    assert image.mode == "1"
    assert (np.asarray(read_image(encoded(image), "L")) == np.where(RAMP > 127, 255, 0)).all()


@pytest.mark.parametrize("kind", ["int32", "float32"])
def test_pixels_without_a_range_are_refused(kind: str) -> None:
    data = encoded(Image.fromarray(RAMP.astype(kind)), "TIFF")
    with pytest.raises(ImageError, match="no range is defined: save it with 8 or 16 bits"):
        read_image(data, "L")


def test_alpha_is_dropped_and_not_blended() -> None:
    rgba = np.dstack([COLOURS, np.array([[0, 128, 255], [1, 2, 3]], np.uint8)])
    assert (np.asarray(read_image(encoded(Image.fromarray(rgba)), "RGB")) == COLOURS).all()
    grey = Image.fromarray(np.dstack([RAMP, RAMP[::-1]]))
    assert grey.mode == "LA"
    assert (np.asarray(read_image(encoded(grey), "L")) == RAMP).all()


@pytest.mark.parametrize("transparency", [None, 0, bytes([0, 100, 255])])
def test_a_palette_gives_its_colours_with_and_without_transparency(transparency: int | bytes | None) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8), "L").convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    options = {} if transparency is None else {"transparency": transparency}
    read = np.asarray(read_image(encoded(image, **options), "RGB"))
    assert read.tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 0, 0]]]
    grey = np.asarray(read_image(encoded(image, **options), "L"))
    assert grey.tolist() == [[76, 149], [29, 76]] or grey.tolist() == [[76, 150], [29, 76]]


def test_a_transparent_colour_of_rgb_is_a_colour() -> None:
    data = encoded(Image.fromarray(COLOURS), transparency=(255, 0, 0))
    assert (np.asarray(read_image(data, "RGB")) == COLOURS).all()


def test_cmyk_becomes_rgb() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    read = np.asarray(read_image(encoded(cmyk, "JPEG", quality=100), "RGB"))
    assert np.abs(read.astype(int) - (255, 0, 0)).max() <= 4


def test_lab_becomes_grey_by_way_of_rgb() -> None:
    lab = Image.new("LAB", (4, 4), (255, 128, 128))
    assert np.asarray(in_mode(lab, "L")).min() >= 253


def test_of_an_animation_the_first_frame_is_read() -> None:
    frames = [Image.new("L", (8, 8), value) for value in (10, 200)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.asarray(read_image(data, "L")).max() == 10


def test_a_name_that_promises_another_format_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "really-a.jpg").write_bytes(encoded(Image.fromarray(COLOURS)))
    (tmp_path / "no-suffix").write_bytes(encoded(Image.fromarray(COLOURS), "TIFF"))
    for path in tmp_path.iterdir():
        assert (np.asarray(read_image(path, "RGB")) == COLOURS).all()


def test_too_many_pixels_are_refused_by_the_header() -> None:
    data = encoded(Image.fromarray(RAMP))
    assert read_image(data, "L", max_pixels=256).size == (16, 16)
    with pytest.raises(ImageError, match=r"it has 16×16 pixels, and no more than 255 are decoded: .* --max-pixels"):
        read_image(data, "L", max_pixels=255)


def test_more_pixels_than_pillow_would_open_are_a_matter_of_the_limit_alone() -> None:
    data = bytearray(encoded(Image.new("1", (8, 8))))
    data[16:24] = struct.pack(">II", 20_000, 10_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(ImageError, match=r"too many pixels, and no more than 1,000,000 are decoded: .* --max-pixels"):
        read_image(bytes(data), "L", max_pixels=10**6)
    # The header is accepted, and then there are no pixels.
    with pytest.raises(ImageError, match="truncated"):
        read_image(bytes(data), "L", max_pixels=3 * 10**8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image of a known format"),
        (b"<html></html>", "not an image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "not an image of a known format"),
        (
            encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)))[:-40],
            "cannot be decoded",
        ),
    ],
    ids=["empty", "html", "postscript", "truncated"],
)
def test_what_is_no_image_gives_a_reason_of_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(data, "L")
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_a_file_that_cannot_be_opened_gives_the_systems_reason(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^it cannot be read: No such file or directory$"):
        read_image(tmp_path / "gone.png", "L")
    with pytest.raises(ImageError, match="it cannot be read: Is a directory"):
        read_image(tmp_path, "L")


def test_no_format_that_starts_a_program_is_opened() -> None:
    assert not {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"} & set(FORMATS)
    assert {".jpg", ".jpeg", ".png", ".tif", ".webp", ".gif", ".bmp", ".avif"} <= EXTENSIONS


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF", "GIF", "BMP"])
def test_a_truncated_file_is_refused_with_a_reason(format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded(noise, format)
    for kept in (len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(ImageError, match=r"it cannot be decoded|it is not an image|it cannot be read"):
            read_image(data[:kept], "RGB")


@pytest.mark.parametrize("folder", ["photos", "pngsuite", "hostile"])
def test_every_real_file_is_read_or_refused(shared_data: Path, folder: str) -> None:
    read = 0
    for path in sorted((shared_data / folder).rglob("*")):
        for mode in ("L", "RGB") if path.is_file() else ():
            try:
                picture = read_picture(path, mode, max_pixels=2**22, scaled_to=(32, 32), deep=True, alpha=True)
            except ImageError:
                continue
            read += 1
            assert picture.image.mode == ("I;16" if picture.depth == 16 else mode)
            assert picture.alpha is None or picture.alpha.size == picture.image.size
            assert picture.scaled == (picture.size != picture.image.size)
    assert read > 100


# Its checksum of the compressed pixels is wrong, the pixels are not: Pillow reads it.
WRONG_CHECKSUM_ONLY = "xcsn0g01.png"


def test_pngsuite_reads_but_for_the_files_that_are_broken_on_purpose(shared_data: Path) -> None:
    for path in sorted((shared_data / "pngsuite").glob("*.png")):
        if path.name.startswith("x") and path.name != WRONG_CHECKSUM_ONLY:
            with pytest.raises(ImageError):
                read_image(path, "RGB")
        else:
            assert read_image(path, "RGB").mode == "RGB"
            assert read_image(path, "L").mode == "L"
