"""A job as the command line shows it on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aedeploy.cli.console import Output

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from aedeploy.jobs.count import NameCount
    from aedeploy.jobs.engines import Note, Progress
    from aedeploy.jobs.plan import Plan

_SECONDS_BETWEEN_LINES = 10.0

# A job that has ended by then needs no estimate.
_SECONDS_BEFORE_COUNTING = 5.0

# The rate is that of so many seconds: what a start took must not be held against the rest.
_SECONDS_OF_RATE = 30.0


class JobProgress:
    """A context manager that is shown what a job tells. ``stop`` is set when it is to end early."""

    def __init__(
        self, plan: Plan, output: Output, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan, self._output, self._stop, self._clock = plan, output, stop, clock
        self._console = output.messages
        self._bar: Bar | None = None
        self._count: NameCount | None = None
        self._done = self._failed = 0
        self._seconds: dict[str, float] = {}
        self._began = self._told = clock()
        self._pace = deque([(self._began, 0)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._count is not None:
            self._count.stop()
        if self._bar is not None:
            self._bar.stop()

    def note(self, note: Note) -> None:
        """Pass on what the library has to say."""
        if note.text:
            self._console.print(note.text, markup=False, soft_wrap=True)

    def show(self, event: Progress) -> None:
        """Say how far it is."""
        self._add(event)
        now = self._clock()
        if self._count is None and now - self._began > _SECONDS_BEFORE_COUNTING and not self._plan.seen.complete:
            from aedeploy.jobs.count import NameCount

            self._count = NameCount(self._plan.settings.origin, self._plan.request.selection)
        if self._output.quiet:
            return
        if self._console.is_terminal:
            self._move_bar()
        elif now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            self._output.note(self.line())

    def line(self) -> str:
        """How far it is, how fast, what holds it up, and how long it will take: ``encode: 3,200 of 10,000, …``."""
        return f"{self._doing()}: " + ", ".join([self._how_far(), *self._how_well()])

    def _add(self, event: Progress) -> None:
        self._done += event.ok + event.failed
        self._failed += event.failed
        for stage, spent in event.seconds.items():
            self._seconds[stage] = self._seconds.get(stage, 0.0) + spent
        now = self._clock()
        self._pace.append((now, self._done))
        while len(self._pace) > 2 and now - self._pace[1][0] > _SECONDS_OF_RATE:
            self._pace.popleft()

    def _left(self) -> int | None:
        from aedeploy.jobs.count import left_to_do

        return left_to_do(self._plan, self._done, self._count.total if self._count else None)

    def _rate(self) -> float:
        (then, before), (now, done) = self._pace[0], self._pace[-1]
        return (done - before) / max(now - then, 1e-9)

    def _doing(self) -> str:
        return "finishing what was begun" if self._stop.is_set() else self._plan.settings.job

    def _how_far(self) -> str:
        left = self._left()
        return f"{self._done:,} so far" if left is None else f"{self._done:,} of {self._done + left:,}"

    def _how_well(self) -> list[str]:
        left, rate = self._left(), self._rate()
        words = [f"{self._failed:,} failed"] if self._failed else []
        words.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
        if left is not None and rate > 0 and not self._stop.is_set():
            words.append(f"{duration(left / rate)} left")
        return words + bottleneck(self._seconds)

    def _move_bar(self) -> None:
        bar, left = self._bar or self._new_bar(), self._left()
        bar.update(
            bar.task_ids[0],
            completed=self._done,
            total=None if left is None else self._done + left,
            description=self._doing(),
            text=" · ".join([self._how_far(), *self._how_well()]),
        )

    def _new_bar(self) -> Bar:
        from rich import progress

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(12),
            progress.TextColumn("{task.fields[text]}", markup=False),
        )
        self._bar = progress.Progress(*columns, console=self._console, transient=True)
        self._bar.add_task("", total=None, text="")
        self._bar.start()
        return self._bar


def bottleneck(seconds: Mapping[str, float]) -> list[str]:
    """``["decode 61 %"]``: the stage that takes most of the workers' time; nothing where none took any."""
    total = sum(seconds.values())
    if total <= 0:
        return []
    stage = max(seconds, key=lambda stage: seconds[stage])
    return [f"{stage} {seconds[stage] / total:.0%}".replace("%", " %")]


def duration(seconds: float) -> str:
    """``0.4 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``, ``4 d 3 h``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for unit, size, smaller, per in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // per
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"
