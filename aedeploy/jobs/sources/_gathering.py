"""What a listing has found since its last group."""

from __future__ import annotations

from aedeploy.jobs.sources import Group
from aedeploy.jobs.spec import Failure, Source

#: Files of a group, about: what is held at once of what is listed.
GROUP_FILES = 4096

#: Bytes of a group of which the contents come along.
GROUP_BYTES = 16 * 2**20


class Gathering:
    """Adds up to a group."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.sources: list[Source] = []
        self.failures: list[Failure] = []
        self.others: list[str] = []
        self._bytes = 0

    def add(self, source: Source) -> None:
        self.sources.append(source)
        if source.data is not None:
            self._bytes += len(source.data)

    def fail(self, path: str, reason: str) -> None:
        self.failures.append(Failure(path=path, reason=reason))

    @property
    def full(self) -> bool:
        return len(self.sources) >= GROUP_FILES or len(self) >= 2 * GROUP_FILES or self._bytes >= GROUP_BYTES

    def taken(self, *, closed: bool = False) -> Group:
        """All of it, to begin again with nothing."""
        group = Group(
            sources=tuple(self.sources), failures=tuple(self.failures), others=tuple(self.others), closed=closed
        )
        self._begin()
        return group

    def __len__(self) -> int:
        return len(self.sources) + len(self.failures) + len(self.others)
