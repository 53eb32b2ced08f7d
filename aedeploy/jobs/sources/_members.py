"""What is in an archive, judged by its names before anything of it is read."""

from __future__ import annotations

import os
from typing import Literal

from aedeploy.jobs.outputs import is_inside
from aedeploy.jobs.sources._choice import NOT_UTF8, Choice, is_hidden, is_utf8, shown
from aedeploy.jobs.sources._disk import LIMIT, TOO_LARGE
from aedeploy.jobs.sources._gathering import Gathering

Kind = Literal["file", "link", "folder", "device", "sparse", "unknown"]

_UNREAD: dict[Kind, str] = {
    "link": "it is a link in the archive, and none is followed there",
    "device": "it is a device or a pipe in the archive",
    "sparse": "it is a sparse file in the archive, which is not read: unpack it into a folder",
    "unknown": "it is of a kind that is not read in archives",
}


class ArchiveError(Exception):
    """An archive that cannot be read on from here; the message says why, after the words "the archive"."""


class Members:
    """The members of one archive: each goes into the gathering, but what is to be read, which :meth:`path` gives."""

    def __init__(self, gathered: Gathering, choice: Choice, prefix: str) -> None:
        self._gathered = gathered
        self._choice = choice
        self._prefix = prefix
        self._seen: set[str] = set()

    def path(self, name: str, kind: Kind, size: int) -> str | None:
        """The path in outputs of a member that is an input and can be read.

        What is there for a second time is among the others: nobody could tell which of them an output is of.
        """
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if kind == "folder" or not parts or any(is_hidden(part) for part in parts if part != ".."):
            return None
        path = self._prefix + "/".join(parts)
        if not self._choice.takes(path):
            self._gathered.others.append(shown(path))
            return None
        reason = self._reason(name, parts, kind, size)
        if reason is not None:
            # With its own '/' or '..': it is not the path of any output.
            self._gathered.fail(shown(self._prefix + name), reason)
            return None
        if path in self._seen:
            self._gathered.others.append(path)
            return None
        self._seen.add(path)
        return path

    @staticmethod
    def _reason(name: str, parts: list[str], kind: Kind, size: int) -> str | None:
        if name.startswith("/"):
            return "its name in the archive is an absolute path"
        # Drives and backslashes mean something on Windows alone; and asking takes as long as all else.
        if ".." in parts or "\0" in name or (os.name == "nt" and not is_inside(name)):
            return "its name in the archive leads out of it"
        if not is_utf8(name):
            return NOT_UTF8
        if kind != "file":
            return _UNREAD[kind]
        return TOO_LARGE if size > LIMIT else None
