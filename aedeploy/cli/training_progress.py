"""A run as the command line shows it on stderr: a bar on a terminal, a line an epoch everywhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aedeploy.cli.console import Output, counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.progress import Progress

    from aedeploy.cli.terminal_pictures import TerminalPictures
    from aedeploy.training.config import TrainConfig
    from aedeploy.training.events import Ended, EpochDone, Event, Started, StepsDone

# Where there is no bar, a long epoch says so often that it is alive.
_SIGN_OF_LIFE_SECONDS = 30.0
# A bar may be drawn again often; of pictures, which are many kilobytes, that would be felt.
_REFRESHES, _REFRESHES_OF_PICTURES = 10, 2
# And so would it where every line of many short epochs came on its own: each moves all that is below it.
_LINES_SECONDS = 0.1


def train_with_progress(config: TrainConfig, output: Output, *, pictures: bool = False) -> Ended | None:
    """Train, show what happens, and let Ctrl-C and SIGTERM end the run after a step once it has begun.

    None: this is one of several processes, and another one has the bundle.
    """
    from aedeploy.training.events import Ended, Started
    from aedeploy.training.run import train
    from aedeploy.training.signals import stop_on_signals

    with stop_on_signals() as stop, TrainingProgress(output, pictures=pictures) as progress:
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
    """A context manager that is shown the events of a run.

    ``pictures``: in a terminal there are curves and reconstructions under the bar, and the last ones stay.
    """

    def __init__(self, output: Output, *, pictures: bool = False) -> None:
        self.output = output
        self.console = output.messages
        self.pictures = _pictures(self.console) if pictures else None
        self.bar: Progress | None = None
        self.live: Live | None = None
        self.waiting: list[str] = []  # lines that are not printed yet
        self.last_line = time.monotonic()
        self.phases: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is None:
            return
        self._print_lines()
        self.live.stop()
        if self.pictures is not None:
            self.console.print(self.pictures)

    def show(self, event: Event) -> None:
        """Say what an event says."""
        from aedeploy.training.events import EpochDone, Started, StepsDone

        if self.output.quiet:
            return
        complete = self.pictures.show(event) if self.pictures is not None else None
        if complete is not None:
            self._print_lines()
            self.console.print(complete)
        self._print_lines_if_due()
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
            self.live = self._new_live(self.bar)
            self.live.start()

    def _new_bar(self, event: Started) -> Progress:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]:,.0f} images/s  loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
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

    def _new_live(self, bar: Progress) -> Live:
        from rich.console import Group
        from rich.live import Live

        if self.pictures is None:
            return Live(bar, console=self.console, transient=True, refresh_per_second=_REFRESHES)
        from aedeploy.cli.terminal_pictures import SteadyLive

        shown = Group(bar, self.pictures)
        return SteadyLive(shown, console=self.console, transient=True, refresh_per_second=_REFRESHES_OF_PICTURES)

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
        self.waiting.append(text)
        self._print_lines_if_due()

    def _print_lines_if_due(self) -> None:
        if self.live is None or time.monotonic() - self.last_line > _LINES_SECONDS:
            self._print_lines()

    def _print_lines(self) -> None:
        if self.waiting:
            self.console.print("\n".join(self.waiting), markup=False, soft_wrap=True)
            self.waiting.clear()
            self.last_line = time.monotonic()


def _pictures(console: Console) -> TerminalPictures | None:
    from aedeploy.cli.terminal_pictures import TerminalPictures, shows_curves

    return TerminalPictures(console) if shows_curves(console) else None
