"""Reading over a network, again if it fails."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

#: Seconds before each further attempt.
PAUSES = (0.5, 1.0, 2.0, 4.0)

# What would fail again.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError, ImportError)
# Of botocore.
_FINAL_NAMES = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "ParamValidationError")


def retried(call: Callable[[], Result]) -> Result:
    """What ``call`` gives, at the fifth attempt if need be.

    Raises:
        OSError: it failed each time, or in a way that stays; whatever it raised, in one line.
    """
    pauses = iter(PAUSES)
    while True:
        try:
            return call()
        except _FINAL as error:
            raise _as_os_error(error) from None
        except Exception as error:  # every store and every network library has errors of its own
            pause = next(pauses, None)
            if pause is None or type(error).__name__ in _FINAL_NAMES:
                raise _as_os_error(error) from None
            time.sleep(pause)


def _as_os_error(error: Exception) -> OSError:
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError("there is no such object")
    words = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return OSError(words[:300])


class RetryingFile(io.RawIOBase):
    """A remote file, read from wherever an attempt failed."""

    def __init__(self, opener: Callable[[], Any]) -> None:
        self._opener = opener
        self._file: Any = None
        self._position = 0
        self._size: int = retried(self._measured)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = retried(lambda: self._read(len(view)))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

    def _measured(self) -> int:
        self._file = self._opener()
        return int(self._file.seek(0, io.SEEK_END))

    def _read(self, size: int) -> bytes:
        try:
            if self._file is None:
                self._file = self._opener()
            if self._file.tell() != self._position:
                self._file.seek(self._position)
            data: bytes = self._file.read(size)
            return data
        except Exception:
            broken, self._file = self._file, None  # whatever state it is in
            with contextlib.suppress(Exception):
                broken.close()
            raise
