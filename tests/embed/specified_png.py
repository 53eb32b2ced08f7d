"""PNG files decoded by Python's own library: what the tests need, no interlacing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from embed.specified import Decoded

_KINDS = {0: ("grey", 1), 2: ("rgb", 3), 3: ("palette", 1), 4: ("grey+alpha", 2), 6: ("rgb+alpha", 4)}


def decode_png(content: bytes) -> Decoded:
    chunks = list(_chunks(content))
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    kind, samples = _KINDS[colour]
    if interlaced or (depth == 16 and kind != "grey"):
        raise NotImplementedError(f"{depth} bits of {kind}, interlaced: {interlaced}")
    row_bytes = (width * samples * depth + 7) // 8
    data = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    rows = _unfiltered(data, row_bytes, max(1, samples * depth // 8))
    values = [value for row in rows for value in _samples(row, depth, width * samples)]
    if kind == "grey" and depth < 8:
        values = [value * 255 // (2**depth - 1) for value in values]
    bodies = dict(chunks)
    colours = bodies.get(b"PLTE", b"")
    return Decoded(
        kind=kind,
        most=65535 if depth == 16 else 255,
        width=width,
        height=height,
        samples=values,
        palette=[(colours[at], colours[at + 1], colours[at + 2]) for at in range(0, len(colours), 3)],
        orientation=_orientation(bodies[b"eXIf"]) if b"eXIf" in bodies else 1,
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        yield name, content[at + 8 : at + 8 + length]
        at += 12 + length


def _unfiltered(data: bytes, row_bytes: int, step: int) -> Iterator[bytes]:
    above = bytes(row_bytes)
    for start in range(0, len(data), row_bytes + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + row_bytes])
        for at in range(row_bytes):
            left = row[at - step] if at >= step else 0
            corner = above[at - step] if at >= step else 0
            row[at] = (row[at] + _predicted(kind, left, above[at], corner)) & 255
        above = bytes(row)
        yield above


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    if kind < 4:
        return (0, left, above, (left + above) // 2)[kind]
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))


def _samples(row: bytes, depth: int, count: int) -> list[int]:
    if depth == 16:
        return list(struct.unpack(f">{count}H", row))
    most = 2**depth - 1
    return [row[at * depth // 8] >> (8 - depth - at * depth % 8) & most for at in range(count)]


def _orientation(exif: bytes) -> int:
    """Tag 0x0112 of the first directory."""
    order = "<" if exif[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", exif, 4)
    (entries,) = struct.unpack_from(f"{order}H", exif, at)
    for entry in range(entries):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * entry)
        if tag == 0x0112:
            return int(value)
    return 1
