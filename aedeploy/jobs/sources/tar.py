"""Tar archives, WebDataset's shards among them: ``photos.tar``, ``shard-{000..099}.tar``, ``shards/*.tar.gz``.

A member's path is its path in outputs; below the archive's own name, where INPUT is a pattern. Members of a plain
archive are read by the workers from where they lie; those of a compressed one are read once, and travel.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aedeploy.errors import ImageError
from aedeploy.jobs.sources import Group, Selection
from aedeploy.jobs.sources._archives import TAR_SUFFIXES, listed
from aedeploy.jobs.sources._disk import OpenFiles
from aedeploy.jobs.sources._local import claims_suffix, find_archives, local_archives
from aedeploy.jobs.spec import Origin, Source


def claims(text: str) -> bool:
    """A name that ends as a tar archive's does."""
    return claims_suffix(text, TAR_SUFFIXES)


def find(text: str) -> Origin:
    """One archive, or those that a pattern stands for.

    Raises:
        ConfigError: one is missing.
    """
    return find_archives(text, "tar")


def listing(origin: Origin, selection: Selection) -> Iterator[Group]:
    """The members, archive by archive, in their order. See :func:`._archives.listed`."""
    return listed(local_archives(origin.location), selection)


class Contents:
    """Reads members."""

    def __init__(self, origin: Origin) -> None:
        self._files = OpenFiles()

    def read(self, source: Source) -> bytes | Path:
        if source.data is not None:
            return source.data
        file = self._files.get(source.file)
        try:
            file.seek(source.row)
            data = b""
            while len(data) < source.bytes and (piece := file.read(source.bytes - len(data))):
                data = data + piece if data else piece
        except OSError as error:
            raise ImageError(f"its archive cannot be read: {error.strerror}") from None
        if len(data) < source.bytes:
            raise ImageError("its archive ends in the middle of it")
        return data

    def close(self) -> None:
        self._files.close()
