"""Files of this machine, read no further than is sensible."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from aedeploy.errors import ImageError

#: Bytes. Above it, a file of this machine is read where it is, by whoever decodes it.
LARGE = 64 * 2**20

#: Bytes. What is above it in an archive, or behind a URL, is refused: it would have to be held in memory.
LIMIT = 2**30

TOO_LARGE = "it is larger than 1 GiB: unpack it into a folder"

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def read_file(path: str) -> bytes | Path:
    """A file's content, or its path where that is more than ``LARGE``.

    Raises:
        ImageError: it cannot be read, or is no regular file.
    """
    try:
        file = os.open(path, _FLAGS)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("it is no file but a folder, a pipe or a device")
            if status.st_size > LARGE:
                return Path(path)
            data = os.read(file, status.st_size + 1)
            if len(data) == status.st_size:
                return data
            return _rest(file, data, path)
        finally:
            os.close(file)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ImageError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _rest(file: int, data: bytes, path: str) -> bytes | Path:
    """What one read did not give, of a file that grows, shrinks or comes in pieces."""
    pieces, size = [data], len(data)
    while size <= LARGE and (piece := os.read(file, 2**20)):
        pieces.append(piece)
        size += len(piece)
    return Path(path) if size > LARGE else b"".join(pieces)


class OpenFiles:
    """The archives that were last read from, kept open: the members of one follow one another."""

    _MOST = 8

    def __init__(self) -> None:
        self._files: dict[str, io.FileIO] = {}

    def get(self, path: str) -> io.FileIO:
        """A file, opened for reading.

        Raises:
            ImageError: it cannot be.
        """
        file = self._files.pop(path, None)
        if file is None:
            try:
                file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed below
            except OSError as error:
                raise ImageError(f"its archive cannot be read: {error.strerror}") from None
        self._files[path] = file
        if len(self._files) > self._MOST:
            self._files.pop(next(iter(self._files))).close()
        return file

    def close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()

    def __del__(self) -> None:
        # A thread ends without closing what it had.
        self.close()
