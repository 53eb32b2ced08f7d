"""The files that a list names, or ``-``: the list that comes on stdin, while it comes.

Entries end in newlines, or in null characters if one is in the first block (``find … -print0``). What is in a list is
an input whatever its name. An entry is relative to the list's folder (stdin: the current one), and its path in
outputs is relative to that too; a file elsewhere has its absolute path there, without the first '/'.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from aedeploy.errors import ConfigError
from aedeploy.jobs.sources import Group, Selection
from aedeploy.jobs.sources._choice import NOT_UTF8, Choice, is_utf8, shown
from aedeploy.jobs.sources._disk import read_file
from aedeploy.jobs.sources._gathering import Gathering
from aedeploy.jobs.spec import Origin, Source

SUFFIXES = (".txt", ".lst", ".list")

# No entry is longer: no system opens such a path.
_LONGEST = 2**16
_BLOCK = 2**16


def claims(text: str) -> bool:
    """``-``, or a file called like a list."""
    return text == "-" or (text.lower().endswith(SUFFIXES) and "://" not in text and not Path(text).is_dir())


def find(text: str) -> Origin:
    """A list. That of stdin is known by the folder that its entries are relative to.

    Raises:
        ConfigError: there is no such file.
    """
    if text != "-" and not Path(text).is_file():
        raise ConfigError(f"There is no list {shown(text)}: name a file with one path a line, or - for stdin.")
    return Origin(kind="files", location=os.path.abspath(text))  # noqa: PTH100 - links stay as they are


def listing(origin: Origin, selection: Selection) -> Iterator[Group]:
    """What is named, a group for every block that is read: whoever writes to stdin slowly is not waited for.

    A file that is named again is among the others.

    Raises:
        OSError: the list cannot be read.
    """
    root, name = os.path.split(origin.location)
    named = _Named(root, Choice(selection))
    file = os.dup(0) if name == "-" else os.open(origin.location, os.O_RDONLY)
    try:
        for entries in _entries(file):
            for entry in entries:
                named.add(os.fsdecode(entry))
                if named.gathered.full:
                    yield named.gathered.taken()
            if len(named.gathered):
                yield named.gathered.taken()
    finally:
        os.close(file)


class Contents:
    """Reads files, which are absolute."""

    def __init__(self, origin: Origin) -> None:
        pass

    def read(self, source: Source) -> bytes | Path:
        return read_file(source.file)

    def close(self) -> None:
        pass


def _entries(file: int) -> Iterator[list[bytes]]:
    """The entries that each block ends, without the byte order mark, and without empty ones."""
    blocks = iter(lambda: os.read(file, _BLOCK), b"")
    first = next(blocks, b"")
    end = b"\0" if b"\0" in first else b"\n"
    rest, too_long = b"", False
    for block in chain([first.removeprefix(codecs.BOM_UTF8)], blocks):
        *entries, rest = (rest + block).split(end)
        if too_long and entries:  # its last part
            entries, too_long = entries[1:], False
        if len(rest) > _LONGEST:
            entries += [] if too_long else [rest]
            rest, too_long = b"", True
        yield [bare for entry in entries if (bare := _bare(entry, end))]
    if not too_long and (last := _bare(rest, end)):
        yield [last]


def _bare(entry: bytes, end: bytes) -> bytes:
    return entry.removesuffix(b"\r") if end == b"\n" else entry


class _Named:
    """Entries, turned into what they name."""

    def __init__(self, root: str, choice: Choice) -> None:
        self.gathered = Gathering()
        self._root = root.rstrip("/")
        self._real_root: str | None = None
        self._choice = choice
        self._seen: dict[str, bool] = {}  # by path: whether the file is elsewhere

    def add(self, entry: str) -> None:
        if "\0" in entry:
            self.gathered.fail(shown(entry), "it has a null character: end all entries with one, or none")
            return
        file = os.path.join(self._root or "/", entry)  # noqa: PTH118 - a million of them
        path, elsewhere = self._path_of(file)
        if not is_utf8(path):
            self.gathered.fail(shown(path), NOT_UTF8)
        elif path in self._seen:
            if self._seen[path] == elsewhere:
                self.gathered.others.append(path)
            else:
                self.gathered.fail(entry, f"its output would be that of another file, {path}: list them apart")
        else:
            self._seen[path] = elsewhere
            self._look_at(file, path)

    def _path_of(self, file: str) -> tuple[str, bool]:
        """The path in outputs, and whether the file is outside of the list's folder."""
        root = self._root
        if ".." in file.split("/"):
            # Where '..' leads depends on links: 'link/..' is not the folder that the link is in.
            folder, name = os.path.split(file)
            file = os.path.join(os.path.realpath(folder), name)  # noqa: PTH118 - as above
            if self._real_root is None:
                self._real_root = os.path.realpath(root or "/").rstrip("/")
            root = self._real_root
        file = os.path.normpath(file)
        if file.startswith(f"{root}/"):
            return file[len(root) + 1 :], False
        return os.path.splitdrive(file)[1].replace(os.sep, "/").lstrip("/"), True

    def _look_at(self, file: str, path: str) -> None:
        if not self._choice.selects(path):
            self.gathered.others.append(path)
            return
        try:
            status = os.stat(file)  # noqa: PTH116 - as above
        except (OSError, ValueError) as error:
            self.gathered.fail(path, f"it cannot be read: {getattr(error, 'strerror', None) or error}")
            return
        if not stat.S_ISREG(status.st_mode):
            self.gathered.fail(path, "it is no file but a folder, a pipe or a device")
            return
        self.gathered.add(Source(path=path, bytes=status.st_size, stamp=status.st_mtime_ns, file=file))
