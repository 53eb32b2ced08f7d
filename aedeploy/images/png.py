"""The short way from a small, plain PNG to its pixels, and from pixels to a PNG.

Of an image of 28×28, most of the time goes into ``Image.open`` and into setting up Pillow's compressor. What is read
and is not entirely plain and sound is left to Pillow's own reader, and so is saying what is wrong with it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Literal

import numpy as np
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_START = _SIGNATURE + b"\x00\x00\x00\rIHDR"

_END = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"

# Depth, colour type, compression, filter, interlacing: 8-bit grey and 8-bit RGB, each not interlaced.
_MODES: dict[bytes, Literal["L", "RGB"]] = {b"\x08\x00\x00\x00\x00": "L", b"\x08\x02\x00\x00\x00": "RGB"}

# Chunks that change no pixel, and how long one is that Pillow accepts. Text is not among them: by its keyword Pillow
# may take it for an orientation or a transparent colour.
_HARMLESS = {b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"pHYs": 9, b"tIME": 7}

_CHUNK = struct.Struct(">I4s")
_SIZE = struct.Struct(">II")
_WORD = struct.Struct(">I")

# Bytes. Pillow decodes a larger one in several steps.
_LARGEST = 2**16


def plain_png(data: bytes, max_pixels: int) -> Image.Image | None:
    """The pixels of a PNG, in its mode, "L" or "RGB"; None if it is anything but 8-bit, plain, small and sound."""
    mode = _MODES.get(data[24:29])
    if mode is None or len(data) > _LARGEST or not data.startswith(_START):
        return None
    size = _SIZE.unpack_from(data, 16)
    if not 0 < size[0] * size[1] <= max_pixels or _WORD.unpack_from(data, 29)[0] != zlib.crc32(data[12:29]):
        return None
    position = 33
    try:
        length, kind = _CHUNK.unpack_from(data, position)
        while kind != b"IDAT":
            end = position + 8 + length
            if length != _HARMLESS.get(kind):
                return None
            if _WORD.unpack_from(data, end)[0] != zlib.crc32(data[position + 4 : end]):
                return None
            position = end + 4
            length, kind = _CHUNK.unpack_from(data, position)
        position += 8
        # Of what is compressed, Pillow does not look at the checksum either.
        if data[position + length + 4 :] != _END:
            return None
        return Image.frombytes(mode, size, data[position : position + length], "zip", mode)
    except (ValueError, struct.error):
        return None


# Of 1, 2, 3 and 4 channels: grey, grey and alpha, RGB, RGB and alpha.
_COLOUR_TYPES = (0, 4, 2, 6)

_UNFILTERED, _UP = 0, 2


def png_bytes(pixels: np.ndarray, level: int, text: Mapping[str, str]) -> bytes:
    """uint8 or uint16 [H, W, C], C = 1 to 4, as a PNG file compressed at a level from 0 to 9.

    All rows are filtered alike: next to the filters that Pillow chooses row by row, half the time or less, for files
    that are a few per cent larger.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, _COLOUR_TYPES[channels - 1], 0, 0, 0)
    chunks = [_SIGNATURE, _chunk(b"IHDR", header)]
    chunks += [_text(key, value) for key, value in text.items()]
    chunks += [_chunk(b"IDAT", zlib.compress(_rows(pixels), level)), _END]
    return b"".join(chunks)


def _rows(pixels: np.ndarray) -> memoryview:
    """The rows as the file has them, each after the number of its filter."""
    samples = pixels.astype(">u2") if pixels.itemsize == 2 else pixels
    data = np.ascontiguousarray(samples).view(np.uint8).reshape(len(pixels), -1)
    rows = np.empty((len(data), data.shape[1] + 1), np.uint8)
    # Drawn on black, such as digits, an image is simpler than its differences.
    if 2 * np.count_nonzero(data) < data.size:
        rows[:, 0] = _UNFILTERED
        rows[:, 1:] = data
    else:
        rows[:, 0] = _UP
        rows[0, 1:] = data[0]
        np.subtract(data[1:], data[:-1], out=rows[1:, 1:])
    return rows.data


def _text(key: str, value: str) -> bytes:
    if value.isascii():
        return _chunk(b"tEXt", f"{key}\0{value}".encode("ascii"))
    return _chunk(b"iTXt", f"{key}\0\0\0\0\0{value}".encode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    content = kind + data
    return b"%b%b%b" % (_WORD.pack(len(data)), content, _WORD.pack(zlib.crc32(content)))
