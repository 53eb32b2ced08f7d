"""The images of a folder and of all folders in it, or one image.

The order: a folder's files, by their stems and then by their extensions; then each of its folders in the same way,
by name; and last what is behind links to folders. Kept are the names of one folder, and those of the folders to come.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aedeploy.errors import ConfigError
from aedeploy.images.read import EXTENSIONS
from aedeploy.jobs.sources import Group, Links, Selection
from aedeploy.jobs.sources._choice import NOT_UTF8, Choice, is_hidden, is_utf8, shown
from aedeploy.jobs.sources._disk import read_file
from aedeploy.jobs.spec import Failure, Origin, Source

# Files of a group, about: what is held at once of a folder, besides its names.
_GROUP_FILES = 4096

# Where A.png and a.png are one file, as file systems are set up there.
_CASELESS = sys.platform in ("darwin", "win32")


def claims(text: str) -> bool:
    """Whatever nobody else does."""
    return True


def find(text: str) -> Origin:
    """A folder, or one file, whatever its name.

    Raises:
        ConfigError: there is neither.
    """
    if not os.path.isdir(text) and not os.path.isfile(text):  # noqa: PTH112, PTH113 - a path may end in a space
        raise ConfigError(f"There is no file or folder {shown(text)}: name the images to work on.")
    return Origin(kind="folder", location=os.path.abspath(text))  # noqa: PTH100 - links stay as they are


def listing(origin: Origin, selection: Selection) -> Iterator[Group]:
    """Every folder as one closed group, a large one as several.

    Raises:
        OSError: the folder itself cannot be listed. One within it is a failure.
    """
    root, choice = _root_of(origin), Choice(selection)
    if root != origin.location:
        yield _group(root, "", [os.path.basename(origin.location)], None)  # noqa: PTH119 - as above
        return
    for folder in _folders(root, selection.links):
        names, like_files, start = folder.files, folder.like_files, 0
        names.sort(key=str.casefold if _CASELESS else None)
        while start < len(names):
            stop = start + _GROUP_FILES
            while stop < len(names) and _stem(names[stop - 1]) == _stem(names[stop]):
                stop += 1
            yield _group(root, folder.prefix, [_name(cut) for cut in names[start:stop]], choice, like_files)
            start = stop
        if folder.barred or folder.failures:
            yield Group(
                failures=tuple(folder.failures),
                others=tuple(shown(folder.prefix + name) for name in sorted(folder.barred)),
                closed=True,
            )


class Contents:
    """Reads files."""

    def __init__(self, origin: Origin) -> None:
        self._root = _root_of(origin)

    def read(self, source: Source) -> bytes | Path:
        return read_file(f"{self._root}/{source.file}")

    def close(self) -> None:
        pass


def _root_of(origin: Origin) -> str:
    location = origin.location
    return location if os.path.isdir(location) else os.path.dirname(location)  # noqa: PTH112, PTH120 - as above


def _group(
    root: str, prefix: str, names: Sequence[str], choice: Choice | None, folders: frozenset[str] = frozenset()
) -> Group:
    """Some files of a folder; without a choice, inputs all of them."""
    sources: list[Source] = []
    failures: list[Failure] = []
    others: list[str] = []
    for name in names:
        path = prefix + name
        if choice is not None and not choice.takes(path):
            others.append(shown(path))
            continue
        if not is_utf8(path):
            failures.append(Failure(path=shown(path), reason=NOT_UTF8))
            continue
        try:
            status = os.stat(f"{root}/{path}")  # noqa: PTH116 - a million of them
        except OSError as error:
            failures.append(Failure(path=path, reason=f"it cannot be read: {error.strerror}"))
            continue
        sources.append(Source(path=path, bytes=status.st_size, stamp=status.st_mtime_ns, file=path))
    return Group(sources=tuple(sources), failures=tuple(failures), others=tuple(others), folders=folders, closed=True)


@dataclass(kw_only=True)
class _Folder:
    """What is directly in a folder."""

    prefix: str  # of the paths of what is in it
    files: list[str] = field(default_factory=list)  # each as :func:`_cut` gives it
    folders: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)  # folders behind links
    barred: list[str] = field(default_factory=list)  # links that the selection does not follow
    failures: list[Failure] = field(default_factory=list)

    @property
    def like_files(self) -> frozenset[str]:
        """Its folders that are called like images."""
        return frozenset(
            self.prefix + name
            for name in (*self.folders, *self.linked)
            if f".{name.rpartition('.')[2].lower()}" in EXTENSIONS
        )


def _folders(root: str, links: Links) -> Iterator[_Folder]:
    """Every folder that is not hidden, each once: real ones first, then those behind links, by their paths."""
    seen: set[int] = set()
    waiting, linked = [""], list[str]()
    while waiting or linked:
        if not waiting:
            linked.sort(reverse=True)
        path = waiting.pop() if waiting else linked.pop()
        try:
            if links == "follow" and _seen_before(f"{root}/{path}", seen):
                continue
            folder = _scanned(root, path, links)
        except OSError as error:
            if not path:
                raise
            failure = Failure(path=shown(path), reason=f"the folder cannot be listed: {error.strerror}")
            folder = _Folder(prefix=f"{path}/", failures=[failure])
        folder.folders.sort(reverse=True)
        waiting += [folder.prefix + name for name in folder.folders]
        linked += [folder.prefix + name for name in folder.linked]
        yield folder


def _seen_before(path: str, seen: set[int]) -> bool:
    place = os.stat(path)  # noqa: PTH116 - a million folders too
    # One number takes half of what a pair of them does.
    key = place.st_dev << 64 | place.st_ino
    if key in seen:
        return True
    seen.add(key)
    return False


def _scanned(root: str, path: str, links: Links) -> _Folder:
    folder = _Folder(prefix=f"{path}/" if path else "")
    lists = {"folder": folder.folders, "linked": folder.linked, "barred": folder.barred}
    with os.scandir(f"{root}/{path}") as entries:
        for entry in entries:
            if is_hidden(entry.name) or (kind := _kind(entry, links)) == "neither":
                continue
            if kind == "file":
                folder.files.append(_cut(entry.name))
            else:
                lists[kind].append(entry.name)
    return folder


def _cut(name: str) -> str:
    """A name, its last dot a null character, which sorts first: so names of one stem follow one another."""
    stem, dot, extension = name.rpartition(".")
    return f"{stem}\0{extension}" if dot else name


def _name(cut: str) -> str:
    return cut.replace("\0", ".")


def _stem(cut: str) -> str:
    stem = cut.partition("\0")[0]
    return stem.casefold() if _CASELESS else stem


def _kind(entry: os.DirEntry[str], links: Links) -> Literal["file", "folder", "linked", "barred", "neither"]:
    if not entry.is_symlink():
        if entry.is_file(follow_symlinks=False):
            return "file"
        return "folder" if entry.is_dir(follow_symlinks=False) else "neither"
    if links == "skip":
        return "barred"
    try:
        status = entry.stat()
    except OSError:  # it leads nowhere, or to itself: an input that fails with its reason
        return "file"
    if stat.S_ISDIR(status.st_mode):
        return "linked" if links == "follow" else "barred"
    # A pipe is no input: opening it would wait for ever.
    return "file" if stat.S_ISREG(status.st_mode) else "neither"
