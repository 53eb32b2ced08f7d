from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aedeploy.images.png import plain_png, png_bytes

MANY = 10**8

pixels = st.tuples(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1), st.integers(1, 255)
).map(lambda t: np.random.default_rng(t[3]).integers(0, t[4] + 1, t[:3], np.uint8))


def by_pillow(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(stream, "PNG", **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def built(mode: str, width: int, height: int, scanlines: bytes, *before: bytes, after: bytes = b"") -> bytes:
    """A PNG of these scanlines, each with the number of its filter in front."""
    header = struct.pack(">IIBBBBB", width, height, 8, {"L": 0, "RGB": 2}[mode], 0, 0, 0)
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(scanlines)), after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def assert_as_pillow_reads_it(data: bytes) -> bool:
    """If the short way takes it, Pillow takes it, as plain grey or RGB and with the same pixels."""
    short = plain_png(data, MANY)
    if short is None:
        return False
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert short.mode == image.mode
        assert short.size == image.size
        assert short.tobytes() == image.tobytes()
        assert not {"transparency", "icc_profile", "exif", "xmp", "Raw profile type exif"} & set(image.info)
    return True


@given(pixels, st.integers(0, 9))
def test_what_pillow_writes_comes_the_short_way(array: np.ndarray, level: int) -> None:
    assert assert_as_pillow_reads_it(by_pillow(array, compress_level=level))


@given(st.sampled_from(["L", "RGB"]), st.integers(1, 20), st.integers(1, 20), st.data())
def test_every_filter_of_rows_gives_what_pillow_gives(mode: str, width: int, height: int, data: st.DataObject) -> None:
    length = width * len(mode)
    rows = data.draw(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2**32 - 1)), min_size=height, max_size=height)
    )
    lines = b"".join(bytes([number]) + np.random.default_rng(seed).bytes(length) for number, seed in rows)
    assert assert_as_pillow_reads_it(built(mode, width, height, lines))


@settings(max_examples=400)
@given(pixels, st.data())
def test_a_damaged_file_is_left_to_pillow_or_read_as_pillow_reads_it(array: np.ndarray, data: st.DataObject) -> None:
    content = bytearray(by_pillow(array))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                content[place] = data.draw(st.integers(0, 255))
            case "cut":
                del content[place : place + data.draw(st.integers(1, 8))]
            case "insert":
                content[place:place] = data.draw(st.binary(max_size=8))
        if not content:
            return
    assert_as_pillow_reads_it(bytes(content))


LINES = b"\0\x01\x02\0\x03\x04"


@pytest.mark.parametrize(
    "before",
    [
        [],
        [chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"pHYs", bytes(9))],
        [chunk(b"cHRM", bytes(32)), chunk(b"tIME", bytes(7))],
    ],
)
def test_chunks_that_change_no_pixel_are_passed_over(before: list[bytes]) -> None:
    assert assert_as_pillow_reads_it(built("L", 2, 2, LINES, *before))


@pytest.mark.parametrize(
    "data",
    [
        built("L", 2, 2, LINES, chunk(b"tRNS", b"\0\1")),
        built("L", 2, 2, LINES, chunk(b"tEXt", b"transparency\0x")),
        built("L", 2, 2, LINES, chunk(b"iCCP", b"x\0\0" + zlib.compress(b"profile"))),
        built("L", 2, 2, LINES, after=chunk(b"eXIf", b"MM\0\x2a")),
        built("L", 2, 2, LINES, chunk(b"gAMA", b"\0")),
        built("L", 2, 2, LINES, chunk(b"sRGB", b"\0")[:-1] + b"!"),
        built("L", 2, 2, LINES[:-1]),
        built("L", 2, 2, b"\5\x01\x02\0\x03\x04"),
        built("L", 2, 2, LINES)[:-1],
        built("L", 2, 2, LINES) + b"more",
        built("L", 0, 2, LINES),
        by_pillow(np.zeros((2, 2, 1), np.uint8), bits=4),
        b"",
    ],
    ids=[
        "transparent",
        "text",
        "profile",
        "exif",
        "gamma",
        "checksum",
        "rows",
        "filter",
        "cut",
        "more",
        "size",
        "bits",
        "empty",
    ],
)
def test_what_is_not_plain_and_sound_is_left_to_pillow(data: bytes) -> None:
    assert plain_png(data, MANY) is None


def test_too_many_pixels_are_left_to_who_says_so() -> None:
    data = built("L", 2, 2, LINES)
    assert plain_png(data, 4) is not None
    assert plain_png(data, 3) is None


@pytest.mark.parametrize("folder", ["pngsuite", "hostile"])
def test_real_files_are_left_to_pillow_or_read_as_pillow_reads_them(shared_data: Path, folder: str) -> None:
    paths = sorted((shared_data / folder).rglob("*.png"))
    assert sum(assert_as_pillow_reads_it(path.read_bytes()) for path in paths) > 20


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 4),
    st.sampled_from([1, 30, 255]),
    st.integers(0, 9),
    st.integers(0, 2**32 - 1),
)
def test_what_is_written_reads_back_to_the_bit(
    height: int, width: int, channels: int, most: int, level: int, seed: int
) -> None:
    array = np.random.default_rng(seed).integers(0, most + 1, (height, width, channels), np.uint8)
    with Image.open(io.BytesIO(png_bytes(array, level, {}))) as image:
        assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        assert (np.asarray(image).reshape(array.shape) == array).all()


def test_sixteen_bits_are_written_with_their_high_byte_first() -> None:
    array = np.random.default_rng(0).integers(0, 2**16, (5, 7, 1), np.uint16)
    with Image.open(io.BytesIO(png_bytes(array, 1, {}))) as image:
        assert (np.asarray(image) == array[:, :, 0]).all()
    # Of more channels Pillow reads the high bytes alone.
    for channels, taken in ((2, [0, 0, 0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2, 3])):
        array = np.random.default_rng(0).integers(0, 2**16, (5, 7, channels), np.uint16)
        with Image.open(io.BytesIO(png_bytes(array, 1, {}))) as image:
            assert (np.asarray(image) == (array >> 8)[:, :, taken]).all()


def test_what_is_drawn_on_black_is_not_made_larger_by_filtering() -> None:
    drawn = np.zeros((64, 64, 1), np.uint8)
    drawn[np.random.default_rng(0).integers(0, 64, 60), np.arange(60)] = 255
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3 + 5, (64, 64, 1)).copy()
    ramp += np.random.default_rng(0).integers(0, 2, (1, 64, 1), np.uint8)
    assert len(png_bytes(drawn, 1, {})) < 400
    assert len(png_bytes(ramp, 1, {})) < 200


def test_text_is_there_for_any_reader() -> None:
    data = png_bytes(np.zeros((2, 2, 1), np.uint8), 1, {"decode": "scaled", "name": "größe 大"})
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.text == {"decode": "scaled", "name": "größe 大"}
