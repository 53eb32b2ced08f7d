"""Objects behind a URL that fsspec reads: ``s3://bucket/photos``, ``gs://…``, ``memory://…``, archives among them.

A tree is listed folder by folder, each whole: a store gives the names of one folder together. A tar or zip archive
there is read once, as a stream. Over http(s) there are archives and single files, and no listing of folders.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from aedeploy.errors import ConfigError, ImageError, MissingDependencyError
from aedeploy.images.read import EXTENSIONS
from aedeploy.jobs.sources import Group, Selection, _http
from aedeploy.jobs.sources._archives import SUFFIXES, Archive, listed
from aedeploy.jobs.sources._choice import NOT_UTF8, Choice, is_hidden, is_utf8, shown
from aedeploy.jobs.sources._disk import LIMIT, TOO_LARGE
from aedeploy.jobs.sources._gathering import GROUP_FILES
from aedeploy.jobs.sources._patterns import expanded, is_pattern, prefixes
from aedeploy.jobs.sources._retrying import RetryingFile, retried
from aedeploy.jobs.spec import Failure, Origin, Source

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

# Of one request, where an archive is read as a stream.
_BLOCK = 8 * 2**20

# What stores say of an object, of which each is another when the content is; the first that is there is taken.
_STAMPS = (
    "ETag",
    "etag",
    "md5Hash",
    "crc32c",
    "generation",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
    "modified",
    "created",
)


def claims(text: str) -> bool:
    """A URL."""
    return bool(_URL.match(text))


def find(text: str) -> Origin:
    """A tree, an object, an archive, or archives by a pattern.

    Raises:
        ConfigError: it is not there, or cannot be reached.
        MissingDependencyError: what reads it is not installed.
    """
    store, root = _store(text)
    try:
        if _is_archive(root):
            for _ in _archives(store, root):
                pass
        elif _http.is_http(text) and text.endswith("/"):
            raise ConfigError(f"{text}: over http there is no listing of folders: give an archive, or s3://.")
        elif _info(store, root) is None:
            raise ConfigError(f"There is nothing at {text}: name the images to work on.")
    except OSError as error:
        raise ConfigError(f"{text} cannot be reached ({error}): check the address and the credentials.") from None
    return Origin(kind="remote", location=text)


def listing(origin: Origin, selection: Selection) -> Iterator[Group]:
    """Every folder as one group or several, all closed; of archives, the members.

    Raises:
        OSError: the tree cannot be listed. A folder within it is a failure.
        ConfigError: an archive is missing, or the only one is none.
    """
    store, root = _store(origin.location)
    if _is_archive(root):
        yield from listed(_archives(store, root), selection)
        return
    info = _info(store, root)
    if info is None:
        raise FileNotFoundError(f"{origin.location} is gone")
    if info["type"] != "directory":
        yield Group(sources=(_source(root.rpartition("/")[2], info),), closed=True)
        return
    waiting, choice = [root.rstrip("/")], Choice(selection)
    while waiting:
        folder = waiting.pop()
        try:
            entries = retried(functools.partial(store.ls, folder, detail=True))
        except OSError as error:
            if folder == root.rstrip("/"):
                raise
            path = shown(folder[len(root.rstrip("/")) + 1 :])
            yield Group(failures=(Failure(path=path, reason=f"the folder cannot be listed: {error}"),), closed=True)
            continue
        found = _Found(root.rstrip("/"), folder, entries)
        yield from found.groups(choice)
        waiting += sorted(found.folders, reverse=True)


class Contents:
    """Reads objects, or gives what came along."""

    def __init__(self, origin: Origin) -> None:
        self._location = origin.location
        self._store: Any = None

    def read(self, source: Source) -> bytes | Path:
        if source.data is not None:
            return source.data
        if source.bytes > LIMIT:
            raise ImageError(TOO_LARGE)
        if self._store is None:
            self._store = _store(self._location)[0]
        try:
            return bytes(retried(lambda: self._store.cat_file(source.file)))
        except OSError as error:
            raise ImageError(f"it cannot be read: {error}") from None

    def close(self) -> None:
        pass


class _Found:
    """What is directly in a folder."""

    def __init__(self, root: str, folder: str, entries: list[dict[str, Any]]) -> None:
        self.folders: list[str] = []
        self._prefix = folder[len(root) + 1 :] + "/" if folder != root else ""
        self._files: dict[str, dict[str, Any]] = {}
        for entry in entries:
            path = str(entry["name"]).rstrip("/")
            name = path.rpartition("/")[2]
            # A store may list the folder itself; and "a//b" gives a folder without a name.
            if path == folder or not name or is_hidden(name):
                continue
            if entry["type"] == "directory":
                self.folders.append(path)
            else:
                self._files[name] = entry

    def groups(self, choice: Choice) -> Iterator[Group]:
        names = sorted(self._files, key=lambda name: (_stem(name), name))
        like_files = frozenset(
            self._prefix + name
            for name in (folder.rpartition("/")[2] for folder in self.folders)
            if f".{name.rpartition('.')[2].lower()}" in EXTENSIONS
        )
        start = 0
        while start < len(names):
            stop = start + GROUP_FILES
            while stop < len(names) and _stem(names[stop - 1]) == _stem(names[stop]):
                stop += 1
            yield self._group(names[start:stop], choice, like_files)
            start = stop

    def _group(self, names: list[str], choice: Choice, like_files: frozenset[str]) -> Group:
        sources: list[Source] = []
        failures: list[Failure] = []
        others: list[str] = []
        for name in names:
            path = self._prefix + name
            if not choice.takes(path):
                others.append(shown(path))
            elif not is_utf8(path):
                failures.append(Failure(path=shown(path), reason=NOT_UTF8))
            elif "\0" in path or ".." in path.split("/"):
                failures.append(Failure(path=path, reason="its name leads out of the output folder"))
            else:
                sources.append(_source(path, self._files[name]))
        return Group(
            sources=tuple(sources), failures=tuple(failures), others=tuple(others), folders=like_files, closed=True
        )


def _stem(name: str) -> str:
    return (name.rpartition(".")[0] or name).casefold()


def _source(path: str, info: Mapping[str, Any]) -> Source:
    return Source(path=path, bytes=int(info.get("size") or 0), stamp=_stamp(info), file=str(info["name"]))


def _stamp(info: Mapping[str, Any]) -> int:
    value = next((info[key] for key in _STAMPS if info.get(key) is not None), info.get("size"))
    return int.from_bytes(hashlib.sha256(str(value).encode()).digest()[:8], "big") >> 1


def _store(text: str) -> tuple[Any, str]:
    """The file system of a URL, and what the URL is there."""
    try:
        import fsspec
    except ImportError:
        raise MissingDependencyError("fsspec", "remote", "Reading from a URL") from None
    try:
        # A listing that is kept would be an old one, and grow.
        store, root = fsspec.core.url_to_fs(text, use_listings_cache=False)
    except ImportError as error:
        if text.startswith(("s3://", "s3a://")):
            raise MissingDependencyError("s3fs", "remote", "Reading from s3://") from None
        raise ConfigError(f"{text.partition('://')[0]}:// needs another package ({error}).") from None
    except ValueError as error:
        raise ConfigError(
            f"{text} cannot be read ({error}): known are s3://, gs:// and what else fsspec has."
        ) from None
    return store, str(root)


def _info(store: Any, path: str) -> Mapping[str, Any] | None:
    """What a store says of a path, if there is anything. (Its ``exists`` says no where the network fails.)"""
    ask = functools.partial(_http.info, store) if _http.is_http(path) else store.info
    try:
        info: Mapping[str, Any] = retried(lambda: ask(path))
    except FileNotFoundError:
        return None
    return info


def _is_archive(path: str) -> bool:
    return path.lower().endswith(SUFFIXES)


def _archives(store: Any, root: str) -> Iterator[Archive]:
    """Every archive that a path in a store, or a pattern of such, stands for."""

    def exists(path: str) -> bool:
        info = _info(store, path)
        return info is not None and info["type"] == "file"

    is_file = exists(root)
    alone = is_file or not is_pattern(root)
    paths = (
        [root]
        if is_file
        else expanded(root, lambda path: retried(lambda: store.glob(path)), exists, store.unstrip_protocol)
    )
    for path, prefix in zip(paths, [""] if alone else prefixes(root, paths, SUFFIXES), strict=True):
        yield Archive(
            location=path,
            prefix=prefix,
            alone=alone,
            in_place=False,
            open=functools.partial(_opened, store, path),
        )


def _opened(store: Any, path: str) -> IO[bytes]:
    opener = functools.partial(store.open, path, "rb", block_size=_BLOCK, cache_type="readahead")
    if _http.is_http(path) and not retried(lambda: _http.gives_parts(store, path)):
        size = (_info(store, path) or {}).get("size")
        whole = functools.partial(store.open, path, "rb", block_size=0)
        opener = functools.partial(_http.Forward, whole, size)
    return cast(IO[bytes], io.BufferedReader(RetryingFile(opener), 2**16))
