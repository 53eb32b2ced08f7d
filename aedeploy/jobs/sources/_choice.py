"""Which names are inputs, and what they look like in print."""

from __future__ import annotations

import os

from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.images.globs import any_of
from aedeploy.images.read import EXTENSIONS
from aedeploy.jobs.sources import Selection

NOT_UTF8 = "its name is not valid UTF-8: rename it"


class Choice:
    """A selection, ready to be asked of a million paths."""

    def __init__(self, selection: Selection) -> None:
        self._include = any_of(selection.include)
        self._exclude = any_of(selection.exclude)
        self._all = self._include is None and self._exclude is None

    def selects(self, path: str) -> bool:
        """Whether the selection has it, whatever it is."""
        if self._all:
            return True
        if self._include is not None and not self._include.fullmatch(path):
            return False
        return self._exclude is None or not self._exclude.fullmatch(path)

    def takes(self, path: str) -> bool:
        """Whether it is an image by its name, and selected."""
        # A million names: pathlib would take seconds.
        return f".{path.rpartition('.')[2].lower()}" in EXTENSIONS and self.selects(path)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is left out by its name alone: hidden, or a partial file of ours."""
    return name.startswith(".") or name.endswith(PARTIAL_SUFFIX)


def is_utf8(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """A name that may not be UTF-8, so that it can be printed."""
    if is_utf8(name):
        return name
    try:
        octets = os.fsencode(name)
    except UnicodeEncodeError:  # half of a surrogate pair, which no file name has
        octets = name.encode("utf-8", "backslashreplace")
    return octets.decode("utf-8", "backslashreplace")
