"""A run as the command line shows it on stderr: a bar on a terminal, a line an epoch everywhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aedeploy.cli.console import Output, counted

if TYPE_CHECKING:
    from rich.progress import Progress

    from aedeploy.training.config import TrainConfig
    from aedeploy.training.events import Ended, EpochDone, Event, Started, StepsDone

# Where there is no bar, a long epoch says so often that it is alive.
_SIGN_OF_LIFE_SECONDS = 30.0


def train_with_progress(config: TrainConfig, output: Output) -> Ended | None:
    """Train, show what happens, and let Ctrl-C and SIGTERM end the run after a step once it has begun.

    None: this is one of several processes, and another one has the bundle.
    """
    from aedeploy.training.events import Ended, Started
    from aedeploy.training.run import train
    from aedeploy.training.signals import stop_on_signals

    with stop_on_signals() as stop, TrainingProgress(output) as progress:
        for event in train(config, stop.event):
            if isinstance(event, Started):
                stop.armed = True
            if isinstance(event, Ended):
                return event
            progress.show(event)
    return None


def compression(pixels: int, latent: int) -> str:
    """How many numbers stand for how many, for a person."""
    if latent > pixels:
        return (
            f"latent of {latent:,} numbers for {pixels:,} pixel values: overcomplete, {latent / pixels:.3g} × as many"
        )
    if latent == pixels:
        return f"latent of {latent:,} numbers for {pixels:,} pixel values: as many"
    return f"latent of {latent:,} numbers for {pixels:,} pixel values: {pixels / latent:.3g} × fewer"


def _images(event: Started) -> str:
    """What the model is trained and judged on."""
    if event.photographs is None:
        return f"{event.data.train:,} images of {event.data.name} to train on and {event.data.held_out:,} held out"
    train, held_out = event.photographs
    return (
        f"{event.data.train:,} patches of {counted(train, 'photograph')} of {event.data.name} to train on and "
        f"{event.data.held_out:,} of {held_out:,} held out"
    )


class TrainingProgress:
    """A context manager that is shown the events of a run."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.console = output.messages
        self.bar: Progress | None = None
        self.last_line = time.monotonic()
        self.phases: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, event: Event) -> None:
        """Say what an event says."""
        from aedeploy.training.events import EpochDone, Started, StepsDone

        if self.output.quiet:
            return
        if isinstance(event, Started):
            self._started(event)
        elif isinstance(event, StepsDone):
            self._steps_done(event)
        elif isinstance(event, EpochDone):
            self._epoch_done(event)

    def _started(self, event: Started) -> None:
        channels, height, width = event.image_shape
        colour = "grey" if channels == 1 else "RGB"
        self._line(f"{event.parameters:,} parameters; {_images(event)}, {height}×{width} {colour}; on {event.device}")
        if event.latent is None:
            self._line("the image itself goes around the latent: one graph, not cut into an encoder and a decoder")
        else:
            self._line(compression(channels * height * width, event.latent))
        if event.max_sigma is not None:
            self._line(f"told how much noise there is, up to σ = {event.max_sigma:g} levels of 255")
        self.phases = event.phases
        for note in event.notes:
            self._line(note)
        if event.epochs_done:
            self._line(f"Going on after epoch {event.epochs_done}.")
        if self.console.is_terminal:
            self.bar = self._new_bar(event)
            self.bar.start()

    def _new_bar(self, event: Started) -> Progress:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]:,.0f} images/s  loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        done = event.epochs_done * event.steps
        bar.add_task(
            f"epoch {event.epochs_done + 1}/{event.epochs}",
            total=event.epochs * event.steps,
            completed=done,
            rate=0.0,
            loss="–",
        )
        self.epochs = event.epochs
        return bar

    def _steps_done(self, event: StepsDone) -> None:
        if self.bar is not None:
            self.bar.update(
                self.bar.task_ids[0],
                completed=(event.epoch - 1) * event.steps + event.step,
                description=f"epoch {event.epoch}/{self.epochs}",
                rate=event.images_per_second,
                loss=f"{event.loss:.4g}",
            )
        elif time.monotonic() - self.last_line > _SIGN_OF_LIFE_SECONDS:
            rate = f"{event.images_per_second:,.0f} images/s"
            self._line(f"epoch {event.epoch}  step {event.step}/{event.steps}  train {event.loss:.4g}  {rate}")

    def _epoch_done(self, event: EpochDone) -> None:
        best = "  best so far" if event.best else ""
        phase = f"{event.phase}  " if len(self.phases) > 1 else ""
        self._line(
            f"epoch {event.epoch:{len(str(event.epochs))}}/{event.epochs}  {phase}train {event.train_loss:.4g}  "
            f"held out {event.held_out_loss:.4g}  {event.images_per_second:,.0f} images/s{best}"
        )

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)
        self.last_line = time.monotonic()
