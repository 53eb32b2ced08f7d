"""Archives, listed: in place, where workers can read their members, or as a stream that carries the contents."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, cast

from aedeploy.errors import ConfigError, ImageError
from aedeploy.jobs.sources import Group, Selection, _tar, _zip
from aedeploy.jobs.sources._choice import Choice, shown
from aedeploy.jobs.sources._gathering import Gathering
from aedeploy.jobs.sources._members import ArchiveError, Members
from aedeploy.jobs.spec import Source

TAR_SUFFIXES = (
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tar.zst",
    ".tar.zstd",
    ".tzst",
)
ZIP_SUFFIXES = (".zip",)
SUFFIXES = (*TAR_SUFFIXES, *ZIP_SUFFIXES)

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}

# What a broken stream makes its readers raise. ArrowInvalid is a ValueError.
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive."""

    location: str
    prefix: str  # of the paths of its members
    alone: bool  # INPUT is this one
    in_place: bool  # workers can read from it
    open: Callable[[], IO[bytes]]


def listed(archives: Iterable[Archive], selection: Selection) -> Iterator[Group]:
    """The members of all archives. What cannot be read on is a failure of that archive, with its members until there.

    Raises:
        ConfigError: the only archive is none.
    """
    choice = Choice(selection)
    for archive in archives:
        gathered, begun = Gathering(), False
        members = Members(gathered, choice, archive.prefix)
        is_zip = archive.location.lower().endswith(ZIP_SUFFIXES)
        try:
            with archive.open() as file:
                for _ in (_of_zip if is_zip else _of_tar)(archive, file, members, gathered):
                    if gathered.full:
                        begun = True
                        yield gathered.taken()
        except (ArchiveError, *_BROKEN) as error:
            reason = _reason(error)
            if archive.alone and not begun and not len(gathered):
                raise ConfigError(f"{shown(archive.location)}: the archive {reason}.") from None
            gathered.fail(shown(archive.prefix.rstrip("/") or archive.location), f"the archive {reason}")
        yield gathered.taken(closed=not begun)


def _of_tar(archive: Archive, file: IO[bytes], members: Members, gathered: Gathering) -> Iterator[None]:
    stream = _unpacking(file)
    length = file.seek(0, 2) if stream is file and archive.in_place else None
    if length is not None:
        file.seek(0)
    reader = _tar.TarReader(stream, length)
    for entry in reader.entries():
        path = members.path(entry.name.decode("utf-8", "surrogateescape"), entry.kind, entry.size)
        if path is not None:
            data, stamp = None, entry.stamp
            try:
                if length is None:
                    data = reader.content(entry)
                    stamp = zlib.crc32(data)
                elif entry.start + entry.size > length:
                    raise ArchiveError("ends in the middle of it")
            except (ArchiveError, *_BROKEN) as error:
                gathered.fail(path, f"the archive {_reason(error)}")
                return
            gathered.add(
                Source(path=path, bytes=entry.size, stamp=stamp, file=archive.location, row=entry.start, data=data)
            )
        yield


def _of_zip(archive: Archive, file: IO[bytes], members: Members, gathered: Gathering) -> Iterator[None]:
    # Opened twice where contents are read here: the directory is elsewhere in the file.
    with contextlib.nullcontext(file) if archive.in_place else archive.open() as stream:
        for entry in _zip.entries(file):
            path = members.path(entry.name, entry.kind, entry.size)
            if path is not None and entry.reason is not None:
                gathered.fail(path, entry.reason)
            elif path is not None:
                try:
                    data = None if archive.in_place else _zip.content(stream, entry.start, entry.size, entry.crc)
                except (ImageError, OSError) as error:
                    gathered.fail(path, str(error) if isinstance(error, ImageError) else f"it {_reason(error)}")
                else:
                    gathered.add(
                        Source(
                            path=path,
                            bytes=entry.size,
                            stamp=entry.crc,
                            file=archive.location,
                            row=entry.start,
                            data=data,
                        )
                    )
            yield


def _unpacking(file: IO[bytes]) -> IO[bytes]:
    """What is in a compressed file, or the file itself. By its first bytes: names are often wrong."""
    start = file.read(max(map(len, _MAGIC)))
    file.seek(0)
    method = next((method for magic, method in _MAGIC.items() if start.startswith(magic)), None)
    if method == "gzip":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if method == "bzip2":
        return bz2.BZ2File(file)
    if method == "xz":
        return lzma.LZMAFile(file)
    if method == "zstd":
        import pyarrow as pa

        stream: Any = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
        return cast(IO[bytes], stream)
    return file


def _reason(error: Exception) -> str:
    if isinstance(error, ArchiveError):
        return str(error)
    words = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return f"cannot be read ({words})"
