"""Files that appear whole or not at all, and their digests."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from aedeploy.errors import BusyError

#: What every temporary file of ours ends with, so that a leftover of a killed process is known as one.
PARTIAL_SUFFIX = ".aedeploy-partial"

# Names of temporary files: no other process of any machine has them.
_PROCESS = secrets.token_hex(8)
_NUMBERS = count()


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = True, scratch: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path, beside ``path`` or in ``scratch``; on success it is synced and replaces ``path`` whole.

    On an error, an interrupt included, the temporary file is removed and ``path`` is left as it was. Without ``sync``
    a crash of the whole machine may leave ``path`` empty, until :func:`sync_file` has been through it.
    """
    # A fixed-length name, so that a target whose own name is as long as the file system allows still works.
    name = f".{secrets.token_hex(8)}{PARTIAL_SUFFIX}"
    partial = path.with_name(name) if scratch is None else scratch / name
    try:
        yield partial
        if sync:
            sync_file(partial)
        _replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _replace(partial: str | Path, path: str | Path) -> None:
    try:
        os.replace(partial, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The scratch folder is on another file system than where a link in the output folder leads.
        with replacing(Path(path)) as beside:
            shutil.copyfile(partial, beside)
        Path(partial).unlink()


def place_bytes(path: str, data: bytes, scratch: str) -> None:
    """As :func:`write_bytes` without ``sync``, for very many small files: in half the time."""
    partial = f"{scratch}/.{_PROCESS}-{next(_NUMBERS)}{PARTIAL_SUFFIX}"
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(file, left) :]
        finally:
            os.close(file)
        _replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def sync_file(path: str | Path) -> None:
    """Return when what was written to ``path`` is on the disk."""
    with open(path, "rb") as written:
        os.fsync(written.fileno())


def write_bytes(path: Path, data: bytes | memoryview, *, sync: bool = True, scratch: Path | None = None) -> None:
    """Replace ``path`` by ``data``, atomically; see :func:`replacing`."""
    with replacing(path, sync=sync, scratch=scratch) as partial:
        partial.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON, atomically. NaN and infinities are refused: JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold a folder, or a file made for it, for this process alone; the lock ends with the process, however it ends.

    Waits for whoever has it, or, given the sentence ``busy``, does not. On a system without ``flock`` (Windows)
    nothing is held.

    Raises:
        BusyError: another process has it; with the sentence ``busy``.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if busy is None else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(busy) from None
        if busy is not None and os.fstat(handle).st_nlink == 0:
            raise BusyError(busy)  # its holder removed it when done: a lock on it is seen by nobody
        yield
    finally:
        os.close(handle)
