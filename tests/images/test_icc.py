from __future__ import annotations

import io
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from aedeploy.images.read import read_image, read_picture

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*values)


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def profile(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ", device: bytes = b"mntr") -> bytes:
    """An ICC profile of version 2 with these tags."""
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 79
    tags = {b"desc": name, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz(0.9642, 1, 0.8249), **tags}
    table, body = b"", b""
    for tag, data in tags.items():
        padded = data + b"\0" * (-len(data) % 4)
        table += struct.pack(">4sII", tag, 132 + 12 * len(tags) + len(body), len(padded))
        body += padded
    rest = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(
        ">I4sI4s4s4s12s4s", 128 + len(rest), bytes(4), 0x02400000, device, space, connection, bytes(12), b"acsp"
    )
    return (head + bytes(28) + fixed(0.9642, 1, 0.8249)).ljust(128, b"\0") + rest


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

#: Linear light.
LINEAR_GREY = profile(b"GRAY", {b"kTRC": gamma(1.0)})

#: sRGB, but that its first channel is blue and its last is red, and a gamma of 2.2.
BACKWARDS = profile(
    b"RGB ",
    {
        b"rXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.4360, 0.2225, 0.0139),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(2.2)),
    },
)


def inks() -> bytes:
    """A CMYK profile in which each of the four inks takes a quarter of the lightness, and there is no colour."""
    corners = [bytes([255 - 255 * bin(corner).count("1") // 4, 128, 128]) for corner in range(16)]
    straight = bytes(range(256))
    matrix = fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + straight * 4 + b"".join(corners) + straight * 3
    return profile(b"CMYK", {b"A2B0": table}, b"Lab ", b"prtr")


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def srgb_of_linear(values: np.ndarray) -> np.ndarray:
    light = values / 255
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
def test_a_colour_profile_is_carried_out(format: str) -> None:
    options = {} if format in ("PNG", "TIFF") else {"quality": 100}
    data = encoded(Image.new("RGB", (16, 16), (250, 20, 10)), format, icc_profile=BACKWARDS, **options)
    read = np.asarray(read_image(data, "RGB")).astype(int)
    assert np.abs(read - (10, 20, 250)).max() <= 8


def test_a_grey_profile_is_carried_out_at_8_and_at_16_bits() -> None:
    expected = srgb_of_linear(RAMP.astype(float))
    read = np.asarray(read_image(encoded(Image.fromarray(RAMP), icc_profile=LINEAR_GREY), "L"))
    assert np.abs(read - expected).max() <= 1.5
    words = Image.fromarray(RAMP.astype(np.uint16) * 257)
    data = encoded(words, icc_profile=LINEAR_GREY)
    assert np.abs(np.asarray(read_image(data, "L")) - expected).max() <= 1.5
    deep = read_picture(data, "L", deep=True)
    assert deep.depth == 16
    assert np.abs(np.asarray(deep.image) / 257 - expected).max() <= 1.5
    colour = np.asarray(read_image(data, "RGB"))
    assert np.abs(colour - expected[:, :, None]).max() <= 1.5


def test_transparency_is_not_touched_by_a_profile() -> None:
    rgba = np.dstack([np.full((16, 16, 3), (250, 20, 10), np.uint8), RAMP])
    picture = read_picture(encoded(Image.fromarray(rgba), icc_profile=BACKWARDS), "RGB", alpha=True)
    assert np.abs(np.asarray(picture.image).astype(int) - (10, 20, 250)).max() <= 8
    assert picture.alpha is not None
    assert (np.asarray(picture.alpha) == RAMP).all()


def test_a_palette_has_the_profiles_colours() -> None:
    image = Image.fromarray(np.zeros((2, 2), np.uint8)).convert("P")
    image.putpalette([250, 20, 10])
    for options in ({}, {"transparency": 3}):
        read = np.asarray(read_image(encoded(image, icc_profile=BACKWARDS, **options), "RGB"))
        assert np.abs(read.astype(int) - (10, 20, 250)).max() <= 8


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_read_by_its_profile(format: str) -> None:
    options = {"quality": 100} if format == "JPEG" else {}
    for inked, lightness in (((0, 0, 0, 0), 100), ((255, 0, 0, 0), 75), ((255, 0, 0, 255), 50), ((255,) * 4, 0)):
        data = encoded(Image.new("CMYK", (16, 16), inked), format, icc_profile=inks(), **options)
        read = np.asarray(read_image(data, "RGB")).astype(float)
        light = ((lightness + 16) / 116) ** 3 if lightness > 8 else lightness / 903.3
        assert np.abs(read - srgb_of_linear(np.array(light * 255))).max() <= 8


def test_adobes_inverted_cmyk_is_not_a_negative() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG", quality=100)
    assert b"Adobe" in data
    assert np.asarray(read_image(data, "RGB")).min() >= 252
    assert np.asarray(read_image(data, "L")).min() >= 252


def test_the_profile_of_srgb_changes_nothing() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert (np.asarray(read_image(encoded(Image.fromarray(colours), icc_profile=SRGB), "RGB")) == colours).all()


@pytest.mark.parametrize(
    "broken",
    [b"x", SRGB[:200], SRGB[:128] + b"\xff" * 400, LINEAR_GREY, inks()],
    ids=["short", "cut", "tags", "grey", "cmyk"],
)
def test_a_profile_that_is_broken_or_of_other_pixels_is_ignored(broken: bytes) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert (np.asarray(read_image(encoded(Image.fromarray(colours), icc_profile=broken), "RGB")) == colours).all()


def test_a_profile_is_not_carried_out_twice() -> None:
    data = encoded(Image.new("RGB", (4, 4), (250, 20, 10)), icc_profile=BACKWARDS)
    read = read_image(data, "RGB")
    assert "icc_profile" not in read.info
    assert (np.asarray(read_image(encoded(read), "RGB")) == np.asarray(read)).all()


def test_threads_share_what_a_profile_was_made_into() -> None:
    data = [
        encoded(
            Image.fromarray(np.random.default_rng(seed).integers(0, 256, (99, 99, 3), np.uint8)), icc_profile=BACKWARDS
        )
        for seed in range(8)
    ]
    alone = [read_image(content, "RGB").tobytes() for content in data]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda content: read_image(content, "RGB").tobytes(), data * 5))
    assert together == alone * 5


def test_photographs_of_wide_colours_change_and_those_of_srgb_do_not(shared_data: Path) -> None:
    folder = shared_data / "photos/metadata-extractor"
    for name, changes in (("Canon EOS 7D.jpg", True), ("Canon EOS D60.jpg", False)):
        with Image.open(folder / name) as image:
            assert image.info["icc_profile"]
            stored = np.asarray(image.convert("RGB"))
        assert (np.asarray(read_image(folder / name, "RGB")) != stored).any() == changes
