"""Tar archives whose bytes depend on nothing but what is in them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import IO


def new_tar(stream: IO[bytes] | Path) -> tarfile.TarFile:
    """An empty archive to add to: plain POSIX headers, with PAX records where a name needs them."""
    if isinstance(stream, Path):
        return tarfile.open(stream, "w", format=tarfile.PAX_FORMAT)
    return tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file. Of time 0, of user and group 0 without names, readable by all: what ``TarInfo`` starts with."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
