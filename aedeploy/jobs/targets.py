"""Which inputs would write one output, of a listing that goes by once."""

from __future__ import annotations

import sys

import numpy as np

from aedeploy.jobs.outputs import image_output
from aedeploy.jobs.sources import Group
from aedeploy.jobs.spec import Settings, Source

# Where A.png and a.png are one file, as file systems are set up there.
_CASELESS = sys.platform in ("darwin", "win32")

_FEW = 16_384


class Targets:
    """The outputs of all inputs so far, by the hashes of their names: 8 bytes an input."""

    def __init__(self, settings: Settings) -> None:
        self._names = settings.names
        self._extension = settings.images.extension
        self._old = np.zeros(0, np.int64)
        self._new: set[int] = set()

    def meet(self, group: Group, done: np.ndarray) -> dict[str, str]:
        """Which inputs would write what another one writes, and the sentence about each.

        Of several in one group all meet, but for what is done already; else the first that was listed is written.
        """
        owner: dict[str, Source] = {}
        clashes: dict[str, str] = {}
        # What is done is there first.
        for row in sorted(range(len(group.sources)), key=lambda row: not done[row]) if done.any() else range(len(done)):
            source = group.sources[row]
            target = self._target(source)
            other = owner.setdefault(target, source)
            if other is not source:
                remedy = "rename one of them" if self._names == "full" else "use --names full"
                words = f"{other.path} and {source.path} would both be written to {target}: {remedy}"
                clashes[source.path] = words
                if other.path not in clashes and group.closed and not self._is_done(group, done, other):
                    clashes[other.path] = words
            elif target in group.folders:
                clashes[source.path] = f"{source.path} would be written to {target}, which is a folder too: rename one"
            elif not group.closed and self._is_taken(target):
                clashes[source.path] = (
                    f"{source.path} would be written to {target}, as another input is: use --names full, or rename one"
                )
        if not group.closed:
            self._remember(owner)
        return clashes

    def _target(self, source: Source) -> str:
        target = image_output(source.path, self._names, self._extension)
        return target.casefold() if _CASELESS else target

    @staticmethod
    def _is_done(group: Group, done: np.ndarray, source: Source) -> bool:
        return bool(done.any()) and bool(done[group.sources.index(source)])

    def _is_taken(self, target: str) -> bool:
        key = hash(target)
        if key in self._new:
            return True
        row = int(np.searchsorted(self._old, key))
        return row < len(self._old) and int(self._old[row]) == key

    def _remember(self, targets: dict[str, Source]) -> None:
        self._new.update(map(hash, targets))
        if len(self._new) > max(_FEW, len(self._old) // 8):
            self._old = np.sort(np.concatenate([self._old, np.fromiter(self._new, np.int64, len(self._new))]))
            self._new = set()
