"""A sweep as the command line shows it on stderr: a bar on a terminal, a line a point everywhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aedeploy.cli.console import Output, counted

if TYPE_CHECKING:
    from rich.progress import Progress

    from aedeploy.training.sweep.results import Row
    from aedeploy.training.sweep.run import Event, SweepStarted

# Where there is no bar, a long sweep says so often that it is alive.
_SIGN_OF_LIFE_SECONDS = 30.0
_FIGURES = ("mse", "psnr", "elbo_nats", "denoised_psnr")


class SweepProgress:
    """A context manager that is shown the events of a sweep. ``stop`` is set when it is to end early."""

    def __init__(self, output: Output, stop: threading.Event) -> None:
        self.output, self.stop = output, stop
        self.console = output.messages
        self.bar: Progress | None = None
        self.points = self.done = 0
        self.shares: dict[str, float] = {}
        self.last_line = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, event: Event) -> None:
        """Say what an event says."""
        from aedeploy.training.sweep.grid import label
        from aedeploy.training.sweep.run import PointDone, PointFailed, PointProgress, SweepStarted

        if isinstance(event, PointFailed) and self.output.debug and event.trace:
            self.output.error(f"{label(event.failure.values)}:\n{event.trace.rstrip()}")
        if self.output.quiet:
            return
        if isinstance(event, SweepStarted):
            self._started(event)
        elif isinstance(event, PointProgress):
            if event.point not in self.shares:
                self.output.detail(f"{label(event.values)} begins")
            self.shares[event.point] = event.share
            self._tell_share()
        elif isinstance(event, PointDone):
            self._ended(event.row.point, f"{label(event.row.values)}:  {_figures(event.row)}")
        elif isinstance(event, PointFailed):
            self._ended(event.failure.point, f"{label(event.failure.values)}:  failed: {event.failure.reason}")

    def _started(self, event: SweepStarted) -> None:
        self.points, self.done = event.points, event.done_before
        before = f"; {event.done_before} of them done before" if event.done_before else ""
        threads = f"{counted(event.threads, 'thread')} each"
        points = counted(event.points, "point")
        self._line(f"{points}{before}; {event.jobs} at a time, {threads}, on {event.device}")
        if not self.console.is_terminal:
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.bar.add_task(self._description(), total=event.points, completed=event.done_before)
        self.bar.start()

    def _tell_share(self) -> None:
        done = self.done + sum(self.shares.values())
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done, description=self._description())
        elif time.monotonic() - self.last_line > _SIGN_OF_LIFE_SECONDS:
            self._line(f"{self._description()}  {done / self.points:.0%}")

    def _description(self) -> str:
        doing = "stopping after a step" if self.stop.is_set() else "points"
        return f"{doing}  {self.done}/{self.points}"

    def _ended(self, point: str, text: str) -> None:
        self.shares.pop(point, None)
        self.done += 1
        self._line(f"{self.done:{len(str(self.points))}}/{self.points}  {text}")
        self._tell_share()

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)
        self.last_line = time.monotonic()


def _figures(row: Row) -> str:
    figures = ((name, row.test.get(name)) for name in _FIGURES)
    told = [f"{name} {value:.4g}" for name, value in figures if value is not None]
    return ", ".join([counted(row.epochs, "epoch"), *told, f"{row.seconds:.1f} s"])
