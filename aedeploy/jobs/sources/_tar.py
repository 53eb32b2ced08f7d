"""The members of a tar archive, header by header, from a stream: POSIX (ustar, pax), GNU, and the old ones.

Not ``tarfile``: it keeps what it has seen, and reads an extended header of any size that the archive claims.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from aedeploy.jobs.sources._members import ArchiveError, Kind

_BLOCK = 512
_END = bytes(_BLOCK)

# Bytes of an extended header: a path and some attributes.
_MOST_EXTENDED = 2**20

_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "link",
    b"2": "link",
    b"3": "device",
    b"4": "device",
    b"5": "folder",
    b"6": "device",
}


@dataclass(kw_only=True, slots=True)
class Entry:
    """One member."""

    name: bytes
    kind: Kind
    size: int
    start: int  # of its content, in the archive
    stamp: int  # of its header: name, size, time


class TarReader:
    """Reads an archive from its start. After an entry, :meth:`content` may be asked for, before the next one."""

    def __init__(self, stream: IO[bytes], length: int | None = None) -> None:
        """``length``: of an archive in which what is not asked for is skipped, not read."""
        self._stream = stream
        self._length = length
        self._position = 0

    def entries(self) -> Iterator[Entry]:
        """Every member.

        Raises:
            ArchiveError: the archive ends too early, or is none.
        """
        shared: dict[bytes, bytes] = {}
        while (found := self._header(shared)) is not None:
            entry, end = found
            yield entry
            self._go(end)

    def content(self, entry: Entry) -> bytes:
        """All of a member.

        Raises:
            ArchiveError: the archive ends before it does.
        """
        self._go(entry.start)
        return self._take(entry.size, "in the middle of a file")

    def _header(self, shared: dict[bytes, bytes]) -> tuple[Entry, int] | None:
        own: dict[bytes, bytes] = {}
        while True:
            block = self._stream.read(_BLOCK)
            self._position += len(block)
            if not self._position:
                raise ArchiveError("is empty")
            if block == _END:
                return None
            if not block:  # between two members, where nothing else tells that there were more
                raise ArchiveError("ends without the mark of its end")
            if len(block) < _BLOCK:
                raise ArchiveError("ends in the middle of a header")
            _check(block)
            type, size = block[156:157], _number(block[124:136])
            if type not in (b"x", b"X", b"g", b"L", b"K"):
                return self._entry(block, size, {**shared, **own} if own else shared)
            if size > _MOST_EXTENDED:
                raise ArchiveError(f"has an extended header of {size:,} bytes")
            data = self._take(_padded(size), "in the middle of a header")[:size]
            if type == b"g":
                shared.update(_records(data))
            elif type == b"L":
                own.setdefault(b"path", data.rstrip(b"\0"))
            elif type != b"K":
                own.update(_records(data))

    def _entry(self, block: bytes, size: int, extended: Mapping[bytes, bytes]) -> tuple[Entry, int]:
        type = block[156:157]
        name = extended.get(b"GNU.sparse.name") or extended.get(b"path") or _name(block)
        if b"size" in extended:
            size = _decimal(extended[b"size"])
        kind = _KINDS.get(type, "unknown")
        if type == b"S" or (extended and any(key.startswith(b"GNU.sparse.") for key in extended)):
            kind = "sparse"
        if type == b"S" and block[482]:
            while self._take(_BLOCK, "in the middle of a header")[504]:
                pass
        if kind == "file" and name.endswith(b"/"):
            kind = "folder"
        start = self._position
        # Only what has content has it here, whatever its header says.
        end = start if kind in ("link", "folder", "device") else start + _padded(size)
        return Entry(name=name, kind=kind, size=size, start=start, stamp=zlib.crc32(block)), end

    def _take(self, size: int, where: str) -> bytes:
        pieces, left = [], size
        while left and (piece := self._stream.read(min(left, 2**24))):
            pieces.append(piece)
            left -= len(piece)
        self._position += size - left
        if left:
            raise ArchiveError(f"ends {where}")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _go(self, position: int) -> None:
        if self._length is not None and position != self._position:
            # A seek leads beyond the end without a word.
            if position > self._length:
                raise ArchiveError("ends in the middle of a file")
            self._stream.seek(position)
            self._position = position
        while self._position < position:
            piece = self._stream.read(min(position - self._position, 2**20))
            if not piece:
                raise ArchiveError("ends in the middle of a file")
            self._position += len(piece)


def _check(block: bytes) -> None:
    sum_ = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    written = _number(block[148:156])
    if written != sum_:
        # Some old archives added up signed bytes.
        signed = sum_ - 256 * sum(byte > 127 for byte in (*block[:148], *block[156:]))
        if written != signed:
            raise ArchiveError("is damaged, or no tar archive: a header has the wrong checksum")


def _number(field: bytes) -> int:
    if field[0] in (0x80, 0xFF):
        value = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    else:
        value = _octal(field.split(b"\0")[0].strip())
    if value < 0:
        raise ArchiveError("is damaged: a header has a negative size")
    return value


def _octal(digits: bytes) -> int:
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise ArchiveError("is damaged, or no tar archive: a header has no number where one belongs") from None


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise ArchiveError("is damaged: a header has no number where one belongs")
    return int(digits)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _name(block: bytes) -> bytes:
    name = block[:100].split(b"\0")[0]
    prefix = block[345:500].split(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: ``length key=value\\n``."""
    records, at = {}, 0
    while at < len(data) and data[at] != 0:
        digits = data[at : at + 20].split(b" ")[0]
        length = _decimal(digits)
        key, equals, value = data[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if not equals or length < len(digits) + 3 or data[at + length - 1 : at + length] != b"\n":
            raise ArchiveError("is damaged: an extended header is not as it should be")
        records[key] = value
        at += length
    return records
