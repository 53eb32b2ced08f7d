"""A listing cut into shards, bit by bit, and held against what is done.

The cuts lie on a grid over all inputs, done or not: an input is in the same shard whatever was finished before, and
n processes that list the same inputs can take every n-th cell.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from aedeploy.errors import ImageError
from aedeploy.jobs.known import Known
from aedeploy.jobs.ledger import Part
from aedeploy.jobs.outputs import image_output
from aedeploy.jobs.reading import digest_of
from aedeploy.jobs.sources import Group, open_contents
from aedeploy.jobs.spec import Failure, Settings, ShardSpec, Source
from aedeploy.jobs.targets import Targets

#: How many inputs are looked at before anything is written: what is wrong with them refuses the job.
WINDOW = 16_384

# Of one shard. By the shard and not by the machine: the same shard gives the same bytes everywhere.
_LEAST_CHUNKS = 16

# Of contents that travel with a shard, because their stream is read only once: it is cut there.
_CARRIED_BYTES = 16 * 2**20

# Of such contents, how much is held to be looked at first.
_WINDOW_BYTES = 4 * _CARRIED_BYTES

_NAMES_KEPT = 3

CHANGED = "it changed since it was done: pass --overwrite to start again, or name another folder"


@dataclass(kw_only=True)
class Seen:
    """What the listing came to so far. Of several processes, what all of them see is counted by the first."""

    inputs: int = 0  # of this process, whatever became of them
    bytes: int = 0  # of those that are to do
    to_do: int = 0
    done: int = 0  # by an earlier run
    elsewhere: int = 0  # of other processes
    others: int = 0  # files that are no inputs
    other_names: list[str] = field(default_factory=list)  # the first of them
    failures: list[Failure] = field(default_factory=list)  # known already to give no output
    collisions: list[Failure] = field(default_factory=list)  # of these, the ones that would write another's output
    shards: int = 0
    complete: bool = False  # the listing has ended


class Cutter:
    """Cuts one listing. ``seen`` is read by other threads while it goes on."""

    def __init__(
        self,
        *,
        settings: Settings,
        groups: Iterator[Group],
        known: Known,
        kept: set[int],
        numbers: Iterator[int],
        part: Part,
        shard_images: int,
        batch_size: int | None,
        most_images: int,
        guard: Callable[[Sequence[Source]], None],
    ) -> None:
        self.seen = Seen()
        self._settings = settings
        self._groups = groups
        self._window: deque[Group] = deque()
        self._known = known
        self._kept = kept
        self._numbers = numbers
        self._part = part
        self._images = shard_images
        self._batch_size = batch_size
        self._most_images = most_images
        self._guard = guard
        self._targets = Targets(settings) if settings.writes_images else None
        self._cell: list[Source] = []
        self._cells = self._in_cell = self._carried = 0
        self._file: str | None = None
        self._again: list[Source] = []
        self._carried_again = 0

    def look_ahead(self, refuse: Callable[[str], None]) -> None:
        """Hold the first inputs against what is done, and refuse the job for what is wrong with them."""
        inputs = carried = 0
        while inputs < WINDOW and carried < _WINDOW_BYTES and (group := next(self._groups, None)) is not None:
            self._window.append(group)
            inputs += len(group.sources)
            carried += sum(map(_carried_by, group.sources))
        looked = Targets(self._settings) if self._targets else None
        self._guard([source for group in self._window for source in group.sources])
        for group in self._window:
            known = self._known.standing(group.sources)
            if looked and (clash := next(iter(looked.meet(group, known.ok).values()), None)):
                refuse(f"{clash}.")
            changed = [source.path for source in self._changed(group.sources)]
            if changed:
                refuse(
                    f"{len(changed):,} of the inputs that are done in {self._settings.output} changed since, such as "
                    f"{changed[0]}: pass --overwrite to start again, or name another folder."
                )

    def first(self, most: int) -> list[Source]:
        """Some of the inputs that were looked at, from all over them."""
        sources = [source for group in self._window for source in group.sources]
        return sources[:: max(1, len(sources) // most)][:most]

    @property
    def found_nothing(self) -> bool:
        """Whether the first look came to the end and saw no input at all."""
        return not any(group.sources or group.failures for group in self._window)

    def shards(self, begun: Callable[[int], None] = lambda number: None) -> Iterator[ShardSpec]:
        """Cut. ``begun`` is told of every shard's number before the shard is given."""
        for group in self._all_groups():
            self._count(group)
            for cell in self._cut(self._sort_out(group)):
                if cell:
                    yield self._spec(cell, begun)
            if self._carried_again >= _CARRIED_BYTES:
                yield from self._tried_again(begun)
        if self._cell:
            yield self._spec(self._cell, begun)
        self._cell = []
        yield from self._tried_again(begun)
        self.seen.complete = True

    def _all_groups(self) -> Iterator[Group]:
        while self._window:
            yield self._window.popleft()
        yield from self._groups

    def _tried_again(self, begun: Callable[[int], None]) -> Iterator[ShardSpec]:
        """What failed in an earlier run: last of all, unless its contents are too much to be held so long."""
        for part in _parts(self._again, self._images, self._groups_of):
            yield self._spec(part, begun)
        self._again, self._carried_again = [], 0

    def _count(self, group: Group) -> None:
        if self._part[0] == 0:
            self.seen.others += len(group.others)
            self.seen.other_names += group.others[: _NAMES_KEPT - len(self.seen.other_names)]
            self._fail(group.failures)

    def _fail(self, failures: Sequence[Failure]) -> None:
        self.seen.failures += failures
        self.seen.inputs += len(failures)

    def _sort_out(self, group: Group) -> Iterator[tuple[Source, str]]:
        """Every input of a group, and what is to be done with it: ``new``, ``again``, ``done`` or ``fail``."""
        self._guard(group.sources)
        known = self._known.standing(group.sources)
        changed = {source.path for source in self._changed(group.sources)}
        clashes = self._targets.meet(group, known.ok) if self._targets else {}
        for row, source in enumerate(group.sources):
            if source.path in clashes or source.path in changed:
                yield source, clashes.get(source.path, CHANGED)
            elif not known.known[row]:
                yield source, "new"
            elif not known.ok[row]:
                yield source, "again"
            elif self._is_there(source, int(known.shard[row])):
                yield source, "done"
            else:
                yield source, "new"

    def _cut(self, sorted_out: Iterator[tuple[Source, str]]) -> Iterator[list[Source]]:
        """Fill the cell, and give each that is full."""
        number, of = self._part
        for source, verdict in sorted_out:
            if self._in_cell and (
                self._in_cell == self._images
                or self._carried >= _CARRIED_BYTES
                or self._groups_of(source) != self._file
            ):
                yield self._cell
                self._cell, self._in_cell, self._carried = [], 0, 0
                self._cells += 1
            self._file = self._groups_of(source)
            self._in_cell += 1
            self._carried += _carried_by(source)
            if self._cells % of != number:
                self.seen.elsewhere += 1
            elif verdict == "new":
                self._cell.append(source)
                self.seen.inputs += 1
            elif verdict == "again":
                self._again.append(source)
                self._carried_again += _carried_by(source)
                self.seen.inputs += 1
            elif verdict == "done":
                self.seen.done += 1
                self.seen.inputs += 1
            else:
                failure = Failure(path=source.path, reason=verdict)
                self._fail([failure])
                if verdict != CHANGED:
                    self.seen.collisions.append(failure)

    def _groups_of(self, source: Source) -> str | None:
        """Shards of decode stay within one latents file."""
        return source.file if self._settings.job == "decode" else None

    def _spec(self, sources: Sequence[Source], begun: Callable[[int], None]) -> ShardSpec:
        """A shard, its batch size as asked; else what suits the model, but enough chunks for many threads."""
        number = next(self._numbers)
        begun(number)
        self.seen.shards += 1
        self.seen.to_do += len(sources)
        self.seen.bytes += sum(source.bytes for source in sources)
        batch_size = self._batch_size or min(self._most_images, max(1, len(sources) // _LEAST_CHUNKS))
        return ShardSpec(settings=self._settings, number=number, sources=tuple(sources), batch_size=batch_size)

    def _changed(self, sources: Sequence[Source]) -> Iterator[Source]:
        """The inputs that are done and have another content now. Another time alone is not another content."""
        if not sources or not len(self._known):
            return
        known = self._known.standing(sources)
        for row in np.flatnonzero(known.ok & ~known.same).tolist():
            source = sources[row]
            if source.bytes == known.bytes[row] and self._has_digest(source, int(known.digest[row])):
                continue
            yield source

    def _has_digest(self, source: Source, digest: int) -> bool:
        if not digest or self._settings.job == "decode":
            return False
        contents = open_contents(self._settings.origin)
        try:
            return int(digest_of(contents.read(source)), 16) == digest
        except ImageError:
            return False
        finally:
            contents.close()

    def _is_there(self, source: Source, shard: int) -> bool:
        """Whether the output of an input that is done is still where it was written."""
        if shard not in self._kept:
            return False
        settings = self._settings
        # Of scored images, a heat map that is gone does not count: its row would be written a second time.
        if not settings.writes_images or settings.container == "tar" or settings.scoring:
            return True
        name = image_output(source.path, settings.names, settings.images.extension)
        return os.path.exists(f"{settings.output}/{name}")  # noqa: PTH110 - a million


def free_numbers(taken: set[int], part: Part, is_strange: Callable[[int], bool]) -> Iterator[int]:
    """Numbers of shards that neither an earlier run has nor a stranger's file, each for one process alone."""
    return (number for number in count(part[0], part[1]) if number not in taken and not is_strange(number))


def _carried_by(source: Source) -> int:
    return len(source.data or b"")


def _parts(sources: Sequence[Source], images: int, key: Callable[[Source], str | None]) -> Iterator[list[Source]]:
    part: list[Source] = []
    for source in sources:
        if part and (len(part) == images or key(part[0]) != key(source)):
            yield part
            part = []
        part.append(source)
    if part:
        yield part
