"""Web servers: many give no parts of a file, and fsspec takes any of their errors for a missing file."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

_STEP = 2**20

_ABSENT = (404, 410)
_REFUSED = (401, 403, 407)


def is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def gives_parts(store: Any, url: str) -> bool:
    """Whether a server sends a piece of a file where only that is asked for. Servers need not."""
    with contextlib.closing(store.open(url, "rb", block_size=_STEP, cache_type="none")) as file:
        try:
            file.seek(1)
            file.read(1)
        except (ValueError, AttributeError):
            return False
    return True


def info(store: Any, url: str) -> Any:
    """What a server says of a file.

    Raises:
        FileNotFoundError: it says that there is none.
        PermissionError: it lets nobody have it, or not without a password.
        Exception: whatever else it says, or that nobody answers.
    """
    try:
        return store.info(url)
    except FileNotFoundError as error:
        reason = error.__cause__
        status = getattr(reason, "status", None)
        if reason is None or isinstance(reason, FileNotFoundError) or status in _ABSENT:
            raise
        if status in _REFUSED:
            raise PermissionError(f"the server refuses it: {status} {getattr(reason, 'message', '')}") from None
        raise OSError(str(reason) or type(reason).__name__) from None


class Forward:
    """A file that is read from its start: to go back is to ask for it again, to go on is to read and forget."""

    def __init__(self, opener: Callable[[], Any], size: int | None) -> None:
        self._opener = opener
        self._size = size
        self._file = opener()
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """From the start. From the end, for a file whose size nobody says, it is read for that; else nothing moves."""
        if whence == io.SEEK_END:
            if self._size is None:
                while self.read(_STEP):
                    pass
                self._size = self._position
            return self._size + offset
        if offset < self._position:
            self._file.close()
            self._file, self._position = self._opener(), 0
        while self._position < offset and self.read(min(_STEP, offset - self._position)):
            pass
        return self._position

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        data: bytes = self._file.read(size)
        self._position += len(data)
        return data

    def close(self) -> None:
        self._file.close()
