"""The members of a zip archive, from its directory at the end, one by one; and the content of one of them.

Not ``zipfile``: it holds all of the directory, and would read it again in every thread.
"""

from __future__ import annotations

import bz2
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from aedeploy.errors import ImageError
from aedeploy.jobs.sources._disk import LARGE
from aedeploy.jobs.sources._members import ArchiveError, Kind

_END, _END64, _END64_AT = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_ENTRY = struct.Struct("<4s4B4H3L5H2L")
_LOCAL = struct.Struct("<4s2B4HL2L2H")
_MOST_COMMENT = 2**16
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_UNICODE_NAME, _ZIP64 = 0x7075, 0x0001
_ENCRYPTED, _UTF8 = 0x1, 0x800
_UNIX = 3

# Files above LARGE that are packed this many times smaller are no photographs.
_MOST_RATIO = 100

_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_READ = (_STORED, _DEFLATED, _BZIP2)


@dataclass(kw_only=True, slots=True)
class Entry:
    """One member."""

    name: str
    kind: Kind
    size: int
    start: int  # of its local header
    crc: int
    reason: str | None  # why it cannot be read


def entries(file: IO[bytes]) -> Iterator[Entry]:
    """Every member, in the order of the directory.

    Raises:
        ArchiveError: it is no zip archive, or its directory is damaged.
    """
    start, size, count, shift = _directory(file)
    file.seek(start)
    left = size
    for _ in range(count):
        fixed = _exactly(file, _ENTRY.size)
        fields = _ENTRY.unpack(fixed)
        signature, system, flags, method = fields[0], fields[2], fields[5], fields[6]
        crc, packed, unpacked, name_size, extra_size, note_size = fields[9:15]
        if signature != b"PK\1\2":
            raise ArchiveError("is damaged: its directory has something else in it")
        rest = _exactly(file, name_size + extra_size + note_size)
        left -= len(fixed) + len(rest)
        name, extra = rest[:name_size], rest[name_size : name_size + extra_size]
        unpacked, packed, offset = _sizes(unpacked, packed, fields[18], extra)
        yield Entry(
            name=_name(name, flags, extra),
            kind=_kind(name, system, fields[17]),
            size=unpacked,
            start=offset + shift,
            crc=crc,
            reason=_reason(flags, method, packed, unpacked),
        )
    if left < 0:
        raise ArchiveError("is damaged: its directory is longer than it says")


class _Seekable(Protocol):
    def seek(self, offset: int, /) -> int: ...
    def read(self, size: int, /) -> bytes: ...


def content(file: _Seekable, start: int, size: int, crc: int) -> bytes:
    """The content of the member at ``start``, which must be what the directory says of it.

    Raises:
        ImageError: it is not.
        OSError: the archive cannot be read.
    """
    file.seek(start)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\3\4"):
        raise ImageError("the archive is damaged: this file is not where its directory says")
    fields = _LOCAL.unpack(header)
    file.seek(start + _LOCAL.size + fields[10] + fields[11])
    data = _unpacked(file, fields[4], size)
    if len(data) != size:
        raise ImageError(f"it unpacks to {'more' if len(data) > size else 'less'} than the archive says")
    if zlib.crc32(data) != crc:
        raise ImageError("the archive is damaged: this file has the wrong checksum")
    return data


def _unpacked(file: _Seekable, method: int, size: int) -> bytes:
    """At most a byte more than ``size``: whoever says that it is small may not unpack to all of the memory."""
    if method == _STORED:
        return _read(file, size)
    pieces, got = [], 0
    unpacker = zlib.decompressobj(-15) if method == _DEFLATED else bz2.BZ2Decompressor()
    step = min(2**18, size + 512)
    try:
        while not unpacker.eof and got <= size and (packed := file.read(step)):
            piece = unpacker.decompress(packed, size + 1 - got)
            got += len(piece)
            pieces.append(piece)
    except (zlib.error, OSError, ValueError) as error:
        raise ImageError(f"the archive is damaged: this file does not unpack ({error})") from None
    return b"".join(pieces)


def _read(file: _Seekable, size: int) -> bytes:
    pieces, left = [], size
    while left and (piece := file.read(min(left, 2**24))):
        pieces.append(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _directory(file: IO[bytes]) -> tuple[int, int, int, int]:
    """Where the directory starts, its bytes, how many are in it, and what was put before the archive."""
    length = file.seek(0, 2)
    tail_at = max(0, length - _MOST_COMMENT - 22 - 20)
    file.seek(tail_at)
    tail = file.read(length - tail_at)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise ArchiveError("is no zip archive, or its end is missing")
    count, size, offset = struct.unpack("<HLL", tail[at + 10 : at + 20])
    end = tail_at + at
    wide = count == _MAX16 or _MAX32 in (size, offset)
    if wide and at >= 20 and tail[at - 20 : at - 16] == _END64_AT:
        # Where it is, and not where it says: something may have been put before the archive.
        end = tail_at + at - 20 - 56
        file.seek(max(0, end))
        record = file.read(56)
        if not record.startswith(_END64):
            raise ArchiveError("is damaged: its directory is not where it says")
        count, size, offset = struct.unpack("<QQQ", record[32:56])
    shift = end - size - offset
    if shift < 0 or count * _ENTRY.size > size:
        raise ArchiveError("is damaged: its directory is not where it says")
    return offset + shift, size, count, shift


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise ArchiveError("is damaged: its directory ends too early")
    return data


def _extras(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack("<HH", extra[at : at + 4])
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size


def _sizes(unpacked: int, packed: int, offset: int, extra: bytes) -> tuple[int, int, int]:
    """Those of the directory, or of the extra field for large files, which has what does not fit."""
    values = [unpacked, packed, offset]
    if _MAX32 in values:
        wide = next((data for kind, data in _extras(extra) if kind == _ZIP64), b"")
        for place, value in enumerate(values):
            if value == _MAX32:
                if len(wide) < 8:
                    raise ArchiveError("is damaged: a size is missing in its directory")
                values[place], wide = int.from_bytes(wide[:8], "little"), wide[8:]
    return values[0], values[1], values[2]


def _name(name: bytes, flags: int, extra: bytes) -> str:
    if flags & _UTF8 or name.isascii():
        return name.decode("utf-8", "surrogateescape")
    for kind, data in _extras(extra):
        if kind == _UNICODE_NAME and data[1:5] == zlib.crc32(name).to_bytes(4, "little"):
            return data[5:].decode("utf-8", "surrogateescape")
    return name.decode("cp437")


def _kind(name: bytes, system: int, attributes: int) -> Kind:
    if name.endswith(b"/"):
        return "folder"
    mode = attributes >> 16
    if system != _UNIX or not stat.S_IFMT(mode) or stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "device"


def _reason(flags: int, method: int, packed: int, unpacked: int) -> str | None:
    if flags & _ENCRYPTED:
        return "it is encrypted: unpack the archive with its password"
    if method not in _READ:
        return f"it is packed by a method that is not read (number {method}): unpack the archive"
    if unpacked > LARGE and unpacked > _MOST_RATIO * packed:
        return f"it would unpack to {unpacked // max(1, packed):,} times its size: no photograph does"
    return None
