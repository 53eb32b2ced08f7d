"""``run_sweep``: a plan carried out, as a generator of events, the last of them with the table of all results."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from aedeploy.files import locked
from aedeploy.training.memory import available_memory
from aedeploy.training.sweep.grid import Values, canonical
from aedeploy.training.sweep.plan import Point, Sweep, threads_each
from aedeploy.training.sweep.pool import Message, Task, run_tasks
from aedeploy.training.sweep.record import LOCK_FILE, Record
from aedeploy.training.sweep.results import Failure, Row, Table, read_row


@dataclass(frozen=True, kw_only=True)
class SweepStarted:
    """All is checked; the first processes are next."""

    points: int
    done_before: int
    jobs: int
    threads: int  # of each
    device: str


@dataclass(frozen=True, kw_only=True)
class PointProgress:
    """A point is trained up to this share of its epochs."""

    values: Values
    point: str
    share: float


@dataclass(frozen=True, kw_only=True)
class PointDone:
    """A point is trained."""

    row: Row


@dataclass(frozen=True, kw_only=True)
class PointFailed:
    """A point cannot be trained; the others go on. ``trace`` is for whoever asks for it."""

    failure: Failure
    trace: str


@dataclass(frozen=True, kw_only=True)
class SweepEnded:
    """``results.json``, ``.csv`` and ``.md`` are written. ``completed``: it was not stopped before its end."""

    table: Table
    trained: int
    skipped: int
    failed: int
    completed: bool
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values: the table's, and how this run went."""
        counts = {name: getattr(self, name) for name in ("trained", "skipped", "failed", "completed")}
        return {**self.table.as_dict(), **counts, "seconds": round(self.seconds, 2)}


Event = SweepStarted | PointProgress | PointDone | PointFailed | SweepEnded


def run_sweep(sweep: Sweep, stop: threading.Event | None = None) -> Generator[Event, None, None]:
    """Train what is missing: SweepStarted, then events of points, and at last SweepEnded.

    When ``stop`` is set, the points that are being trained stop after their step, and the next run goes on from there.
    Leaving the loop early kills them; then the next run goes on from their last checkpoints.

    Raises:
        BusyError: another sweep is at work in the folder.
        ConfigError: the folder was taken by another sweep since the plan was made.
    """
    begun, out = time.perf_counter(), sweep.config.out
    out.mkdir(parents=True, exist_ok=True)
    busy = f"Another sweep is at work in {out}: wait until it has ended, or name another folder with --out."
    with locked(out / LOCK_FILE, busy):
        try:
            record = sweep.record()
            record.write(out)
            run = _Run(sweep, record)
            yield run.started()
            yield from run.train(stop or threading.Event())
            yield run.ended(time.perf_counter() - begun)
        finally:
            (out / LOCK_FILE).unlink(missing_ok=True)


class _Run:
    """Where a sweep is: its points by their folders, and what came of each."""

    def __init__(self, sweep: Sweep, record: Record) -> None:
        self.sweep, self.record = sweep, record
        by_values = {canonical(values): name for name, values in record.points.items()}
        self.asked = {by_values[canonical(point.values)]: point for point in sweep.points}
        self.rows = {name: row for name in record.points if (row := read_row(sweep.config.out / name))}
        self.failures: dict[str, Failure] = {}
        self.skipped = [name for name in self.asked if name in self.rows]
        self.left = [name for name in self.asked if name not in self.rows]
        self.jobs = self.sweep.jobs(len(self.left))
        self.threads = threads_each(self.jobs)

    def started(self) -> SweepStarted:
        return SweepStarted(
            points=len(self.asked),
            done_before=len(self.skipped),
            jobs=self.jobs,
            threads=self.threads,
            device=self.sweep.device,
        )

    def train(self, stop: threading.Event) -> Iterator[Event]:
        memory = self.sweep.config.data.memory_limit or available_memory() // (4 * self.jobs)
        tasks = [self._task(name, self.asked[name], memory) for name in self.left]
        with closing(run_tasks(tasks, self.jobs, self.threads, stop, self._prepared)) as messages:
            for name, message in messages:
                yield from self._heard(name, message, stop)

    def _heard(self, name: str, message: Message, stop: threading.Event) -> Iterator[Event]:
        point, out = self.asked[name], self.sweep.config.out
        if "share" in message:
            yield PointProgress(values=point.values, point=name, share=message["share"])
            return
        reason = message.get("reason")
        if message["end"] == "done":
            row = read_row(out / name)
            if row:
                self.rows[name] = row
                self.table.write(out)
                yield PointDone(row=row)
                return
            reason = "Its bundle is not there any more."
        elif message["end"] == "stopped":
            if stop.is_set():
                return
            reason = "It was stopped from outside: the same command goes on with it."
        failure = Failure(point=name, values=point.values, reason=str(reason))
        self.failures[name] = failure
        self.table.write(out)
        yield PointFailed(failure=failure, trace=message.get("trace", ""))

    @property
    def table(self) -> Table:
        """Of all points in the folder, also of those that this run was not asked for."""
        ended = self.rows.keys() | self.failures.keys()
        return Table(
            variant=self.sweep.config.recipe.name,
            data=self.sweep.base["data"]["name"],
            axes=self.record.axes,
            rows=tuple(self.rows[name] for name in self.record.points if name in self.rows),
            failures=tuple(self.failures[name] for name in self.record.points if name in self.failures),
            unfinished=tuple(name for name in self.record.points if name not in ended),
        )

    def ended(self, seconds: float) -> SweepEnded:
        self.table.write(self.sweep.config.out)
        trained = [name for name in self.left if name in self.rows]
        failed = [name for name in self.left if name in self.failures]
        return SweepEnded(
            table=self.table,
            trained=len(trained),
            skipped=len(self.skipped),
            failed=len(failed),
            completed=len(trained) + len(failed) == len(self.left),
            seconds=seconds,
        )

    def _task(self, name: str, point: Point, memory: int) -> Task:
        config = self.sweep.config
        data = config.data
        return {
            "name": name,
            "out": str(config.out / name),
            "values": dict(point.values),
            "recipe": point.recipe.as_dict(),
            "seed": point.seed,
            "device": self.sweep.device,
            "data": {
                **vars(data),
                "data_root": None if data.data_root is None else str(data.data_root),
                "workers": data.workers or self.threads,
                "memory_limit": memory,
            },
        }

    def _prepared(self, task: Task) -> Task:
        """With the digest of the images that points were trained on before, once there is one."""
        return {**task, "digest": next((row.data for row in self.rows.values()), None)}
