"""Zip archives: ``photos.zip``, ``part-{1..9}.zip``. Paths are as with tar; members are read by the workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aedeploy.errors import ImageError
from aedeploy.jobs.sources import Group, Selection, _zip
from aedeploy.jobs.sources._archives import ZIP_SUFFIXES, listed
from aedeploy.jobs.sources._disk import OpenFiles
from aedeploy.jobs.sources._local import claims_suffix, find_archives, local_archives
from aedeploy.jobs.spec import Origin, Source


def claims(text: str) -> bool:
    """A name that ends in .zip."""
    return claims_suffix(text, ZIP_SUFFIXES)


def find(text: str) -> Origin:
    """One archive, or those that a pattern stands for.

    Raises:
        ConfigError: one is missing.
    """
    return find_archives(text, "zip")


def listing(origin: Origin, selection: Selection) -> Iterator[Group]:
    """The members, archive by archive, in the order of their directories. See :func:`._archives.listed`."""
    return listed(local_archives(origin.location), selection)


class Contents:
    """Reads members, and checks them."""

    def __init__(self, origin: Origin) -> None:
        self._files = OpenFiles()

    def read(self, source: Source) -> bytes | Path:
        file = self._files.get(source.file)
        try:
            return _zip.content(file, source.row, source.bytes, source.stamp)
        except OSError as error:
            raise ImageError(f"its archive cannot be read: {error.strerror}") from None

    def close(self) -> None:
        self._files.close()
