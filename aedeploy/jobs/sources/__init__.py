"""Where inputs come from: one module a kind. Each has

    def claims(text) -> bool                         whether INPUT is of this kind, by its looks alone
    def find(text) -> Origin                         INPUT, made absolute; a ConfigError where there is nothing
    def listing(origin, selection) -> Iterator[Group]    all that is there, bit by bit, in an order that does not change
    class Contents(origin)                           read(source) → bytes or a Path; close(). Used by one thread

``claims`` are asked in the order of ``_KINDS``. A listing is lazy: work begins before it ends, and what it gives is
not kept. It must give the same order whenever nothing changed: shards are cut from it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol

from aedeploy.jobs.spec import Failure, Origin, Source
from aedeploy.names import load_named

SOURCES = "aedeploy.jobs.sources"

# `files` is a list of files, or "-" for one on stdin; `folder` is whatever nobody else claims.
_KINDS = ("files", "remote", "tar", "zip", "folder")

#: Symbolic links. follow: to files and folders; files: to files only; skip: none.
Links = Literal["follow", "files", "skip"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which of the images that are there are inputs. Patterns are as in a shell, of the path below INPUT, and of the
    name alone where they have no '/'; ``**/`` stands for any number of folders, and ``thumbs/`` for all that is in
    that folder. Case matters. ``exclude`` wins.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    links: Links = "follow"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some more of what is there. Every file that was seen is in exactly one of the three.

    A folder's files come in the order of their stems, and it is never cut between two of the same stem: so each of its
    groups is closed, however many they are.
    """

    sources: tuple[Source, ...] = ()
    failures: tuple[Failure, ...] = ()  # what is known already to give no output
    others: tuple[str, ...] = ()  # files that are no inputs, by their names or by the selection
    # No other group has the folder and the stem of anything in this one (nor differs from it in case alone, where file
    # systems do not tell the cases apart): who looks for outputs that meet need not remember it.
    closed: bool = False
    # Folders beside these sources that are called like images, such as x.png: below them there may be outputs, so
    # that no output of these sources can have their name.
    folders: frozenset[str] = frozenset()


class Contents(Protocol):
    """What reads the inputs of one origin."""

    def read(self, source: Source) -> bytes | Path:
        """The whole content, or where it is if it is a large file of this machine.

        Raises:
            ImageError: it cannot be read; the message is the reason alone, in one line.
        """
        ...

    def close(self) -> None: ...


def load_source(kind: str) -> ModuleType:
    """The module of a kind."""
    return load_named(SOURCES, kind, "kind of source")


def find_origin(text: str) -> Origin:
    """What INPUT is.

    Raises:
        ConfigError: there is no such thing.
        MissingDependencyError: what reads it is not installed.
    """
    kind = next(kind for kind in _KINDS if load_source(kind).claims(text))
    origin: Origin = load_source(kind).find(text)
    return origin


def list_inputs(origin: Origin, selection: Selection) -> Iterator[Group]:
    """All that is there, bit by bit.

    Raises:
        OSError: a folder cannot be listed.
        ConfigError: an archive or a list cannot be read.
    """
    groups: Iterator[Group] = load_source(origin.kind).listing(origin, selection)
    return groups


def open_contents(origin: Origin) -> Contents:
    """What reads the inputs of an origin. Cheap: it may be opened in every thread of every process."""
    contents: Contents = load_source(origin.kind).Contents(origin)
    return contents


class ThreadContents:
    """The contents of an origin, opened once in every thread."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._local = threading.local()

    def get(self) -> Contents:
        """This thread's."""
        contents: Contents | None = getattr(self._local, "contents", None)
        if contents is None:
            contents = self._local.contents = open_contents(self._origin)
        return contents
