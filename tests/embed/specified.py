"""docs/embedding.md carried out, and nothing else: no aedeploy, no package, only Python's own library.

Written from the page alone, for the tests that show that the page is enough. It is slow, and it is not how one would
write it for use. specified_judge.py has the judging, specified_png.py a decoder for the images of the tests.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 2


class RefusedError(Exception):
    """What a reader must refuse."""


# The manifest


def read_manifest(bundle: Path, known_keys: frozenset[str]) -> dict[str, Any]:
    """``bundle.json``; ``known_keys`` are those of the published schema's first level."""
    manifest: dict[str, Any] = json.loads((bundle / "bundle.json").read_bytes())
    if manifest["schema_version"] > SCHEMA_VERSION:
        raise RefusedError(f"schema version {manifest['schema_version']}")
    if set(manifest) - known_keys:
        raise RefusedError(f"unknown keys {sorted(set(manifest) - known_keys)}")
    return manifest


def read_file(bundle: Path, record: dict[str, Any]) -> bytes:
    """A file that the manifest names, as it was written."""
    path: str = record["path"]
    if path.startswith("/") or "\\" in path or ":" in path or ".." in path.split("/"):
        raise RefusedError(f"the path {path!r}")
    if not (bundle / path).resolve().is_relative_to(bundle.resolve()):
        raise RefusedError(f"{path!r} leads out of the bundle")
    content = (bundle / path).read_bytes()
    if len(content) != record["bytes"] or hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise RefusedError(f"{path!r} is not the file that was written")
    return content


# Tensors


@dataclass(frozen=True)
class Tensor:
    """Values in rows, the last dimension's side by side."""

    dtype: str  # "float32", "int64" or "uint8"
    shape: tuple[int, ...]
    values: Sequence[Any]


_CODES = {"float32": "f", "int64": "q", "uint8": "B"}
_SIZES = {"float32": 4, "int64": 8, "uint8": 1}
_SAFETENSORS = {"F32": "float32", "I64": "int64", "U8": "uint8"}


def unpacked(dtype: str, shape: tuple[int, ...], content: bytes) -> Tensor:
    count = math.prod(shape)
    if len(content) != count * _SIZES[dtype]:
        raise RefusedError(f"{len(content)} bytes for {count} values of {dtype}")
    return Tensor(dtype, shape, struct.unpack(f"<{count}{_CODES[dtype]}", content))


def packed(tensor: Tensor) -> bytes:
    return struct.pack(f"<{len(tensor.values)}{_CODES[tensor.dtype]}", *tensor.values)


def read_safetensors(content: bytes) -> dict[str, Tensor]:
    if len(content) < 8:
        raise RefusedError("no length of a header")
    (length,) = struct.unpack_from("<Q", content)
    data = 8 + length
    if data > len(content):
        raise RefusedError("the header is longer than the file")
    tensors = {}
    for name, entry in json.loads(content[8:data].decode("utf-8")).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if not 0 <= begin <= end <= len(content) - data:
            raise RefusedError(f"{name} lies outside of the file")
        dtype = _SAFETENSORS[entry["dtype"]]
        tensors[name] = unpacked(dtype, tuple(entry["shape"]), content[data + begin : data + end])
    return tensors


def golden_cases(tensors: dict[str, Tensor]) -> dict[tuple[str, int], dict[str, Tensor]]:
    """By role and batch, what goes in and what must come out, by name."""
    cases: dict[tuple[str, int], dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key != "samples":
            role, batch, name = key.split("/")
            cases.setdefault((role, int(batch)), {})[name] = tensor
    return cases


# From an image file to ``image``


@dataclass(frozen=True)
class Decoded:
    """What a decoder gives: the first frame as it is stored."""

    kind: str  # "grey", "grey+alpha", "rgb", "rgb+alpha" or "palette"
    most: int  # the value of white: 255, or 65535 of 16-bit grey
    width: int
    height: int
    samples: Sequence[int]  # row after row, the samples of a pixel side by side
    palette: Sequence[tuple[int, int, int]] = ()
    orientation: int = 1


@dataclass(frozen=True)
class Image:
    """8-bit samples."""

    channels: int  # 1 or 3
    width: int
    height: int
    samples: Sequence[int]


def in_mode(decoded: Decoded, mode: str) -> Image:
    """Step 3: palette resolved, alpha dropped, 16 bits to 8, grey to RGB or RGB to grey."""
    samples = decoded.samples
    size = decoded.width, decoded.height
    if decoded.kind == "palette":
        samples = [value for index in samples for value in decoded.palette[index]]
    elif decoded.kind == "grey+alpha":
        samples = samples[::2]
    elif decoded.kind == "rgb+alpha":
        samples = [value for at, value in enumerate(samples) if at % 4 != 3]
    if decoded.most != 255:
        samples = [(value * 255 + decoded.most // 2) // decoded.most for value in samples]
    if decoded.kind.startswith("grey"):
        return Image(1, *size, samples) if mode == "L" else Image(3, *size, [v for v in samples for _ in range(3)])
    if mode == "RGB":
        return Image(3, *size, samples)
    pixels = zip(samples[::3], samples[1::3], samples[2::3], strict=True)
    return Image(1, *size, [grey(*pixel) for pixel in pixels])


def grey(red: int, green: int, blue: int) -> int:
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


def upright(image: Image, orientation: int) -> Image:
    """Step 2. For each orientation, from which row and column of the stored image a pixel comes."""
    right, bottom = image.width - 1, image.height - 1
    came_from = {
        2: lambda y, x: (y, right - x),
        3: lambda y, x: (bottom - y, right - x),
        4: lambda y, x: (bottom - y, x),
        5: lambda y, x: (x, y),
        6: lambda y, x: (bottom - x, y),
        7: lambda y, x: (bottom - x, right - y),
        8: lambda y, x: (x, right - y),
    }.get(orientation)
    if came_from is None:
        return image
    width, height = (image.height, image.width) if orientation >= 5 else (image.width, image.height)
    samples: list[int] = []
    for y in range(height):
        for x in range(width):
            row, column = came_from(y, x)
            at = (row * image.width + column) * image.channels
            samples += image.samples[at : at + image.channels]
    return Image(image.channels, width, height, samples)


def coefficients(old: int, new: int) -> list[tuple[int, list[int]]]:
    """For each new place, the first old one that counts, and the weights from there on, in 1/2²²."""
    scale = old / new
    support = max(scale, 1.0)
    narrowing = 1.0 / support
    found = []
    for place in range(new):
        centre = (place + 0.5) * scale
        first = max(0, int(centre - support + 0.5))
        last = min(old, int(centre + support + 0.5))
        heights = [max(0.0, 1.0 - abs((at - centre + 0.5) * narrowing)) for at in range(first, last)]
        total = 0.0
        for height in heights:
            total += height
        found.append((first, [int(height / total * 4194304 + 0.5) for height in heights]))
    return found


def across(image: Image, width: int) -> Image:
    """The horizontal pass."""
    if width == image.width:
        return image
    rows: list[int] = []
    table = coefficients(image.width, width)
    for y in range(image.height):
        for first, weights in table:
            for channel in range(image.channels):
                start = (y * image.width + first) * image.channels + channel
                taken = image.samples[start : start + len(weights) * image.channels : image.channels]
                total = 2097152 + sum(value * weight for value, weight in zip(taken, weights, strict=True))
                rows.append(min(255, total >> 22))
    return Image(image.channels, width, image.height, rows)


def flipped(image: Image) -> Image:
    return upright(image, 5)


def down(image: Image, height: int) -> Image:
    """The vertical pass: the horizontal one of the image with rows for columns."""
    return flipped(across(flipped(image), height))


def resized(image: Image, width: int, height: int) -> Image:
    """Step 4."""
    lost_rows, lost_columns = image.height - height, image.width - width
    if lost_rows > 0 and lost_rows > 2 * lost_columns:
        return across(down(image, height), width)
    return down(across(image, width), height)


def float32(value: float) -> float:
    """The nearest number that float32 has, halves to even."""
    (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    return float(rounded)


def image_input(decoded: Decoded, contract: dict[str, Any]) -> Tensor:
    """All steps: ``image`` float32 [1, C, H, W]."""
    image = upright(in_mode(decoded, contract["mode"]), decoded.orientation)
    image = resized(image, contract["width"], contract["height"])
    values = [
        float32(byte / 255) for channel in range(image.channels) for byte in image.samples[channel :: image.channels]
    ]
    return Tensor("float32", (1, image.channels, image.height, image.width), values)


# And back


def to_byte(value: float) -> int:
    """Of a float32 in [0, 1]. Python's round() is half to even."""
    return round(float32(value * 255))


def to_image(values: Sequence[float], channels: int, height: int, width: int) -> Image:
    """float32 [C, H, W] as bytes."""
    plane = height * width
    samples = [to_byte(values[channel * plane + at]) for at in range(plane) for channel in range(channels)]
    return Image(channels, width, height, samples)
