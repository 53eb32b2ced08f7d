"""The images of a folder, by their names, in an order that does not change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aedeploy.errors import ConfigError, NothingToDoError
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.images.read import EXTENSIONS


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a folder holds. Names are relative to ``root``, with ``/`` between their parts, and sorted."""

    root: Path
    images: tuple[str, ...]
    others: tuple[str, ...]  # files that are no images by their names


def list_images(source: Path) -> Listing:
    """The images of a folder and of all folders in it; or the one file that ``source`` is, whatever its name.

    Hidden files and folders are left out, and so are our own partial files. A folder that symbolic links reach
    several times is listed once, under its own name if that is in the tree.

    Raises:
        ConfigError: ``source`` does not exist.
        NothingToDoError: there is no image in it.
        OSError: a folder in it cannot be listed.
    """
    if source.is_file():
        return Listing(root=source.parent, images=(source.name,), others=())
    if not source.is_dir():
        raise ConfigError(f"There is no file or folder {source}: name the images to work on.")
    images: list[str] = []
    others: list[str] = []
    for name in _files_in(source):
        (images if _extension(name) in EXTENSIONS else others).append(name)
    if not images:
        seen = f"{len(others):,} other files, such as {min(others)}" if others else "it is empty"
        raise NothingToDoError(f"There is no image in {source} ({seen}): known are {', '.join(sorted(EXTENSIONS))}.")
    return Listing(root=source, images=tuple(sorted(images)), others=tuple(sorted(others)))


def _extension(name: str) -> str:
    # A million names: pathlib would take seconds.
    return f".{name.rpartition('.')[2].lower()}"


def _files_in(root: Path) -> Iterator[str]:
    """Every file under ``root``: first those of real folders, then those behind links to folders not yet seen."""
    seen: set[tuple[int, int]] = set()
    folders, linked = [""], list[str]()
    while folders or linked:
        if not folders:
            linked.sort(reverse=True)
        folder = folders.pop() if folders else linked.pop()
        place = (root / folder).stat()
        if (place.st_dev, place.st_ino) in seen:
            continue
        seen.add((place.st_dev, place.st_ino))
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.name.startswith(".") or entry.name.endswith(PARTIAL_SUFFIX):
                    continue
                kind = _kind(entry)
                if kind == "folder":
                    (linked if entry.is_symlink() else folders).append(name)
                elif kind == "file":
                    yield name


def _kind(entry: os.DirEntry[str]) -> Literal["folder", "file", "neither"]:
    try:
        if entry.is_dir():
            return "folder"
        # A link that leads nowhere is listed too: it is an input, and fails with its reason. A pipe is not: opening
        # it would wait for ever.
        if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):  # noqa: PTH110 - as above
            return "file"
    except OSError:  # a link to itself, or into a folder that may not be entered
        return "file"
    return "neither"
