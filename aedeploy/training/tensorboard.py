"""What a run says, as event files for TensorBoard."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import TracebackType
from typing import Self

from aedeploy.errors import MissingDependencyError
from aedeploy.training.events import Ended, EpochDone, Event, StepsDone


class TensorBoardLog:
    """A context manager that writes the events it is given.

    Raises:
        MissingDependencyError: the package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise MissingDependencyError("tensorboard", "tensorboard", "--tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    def add(self, event: Event) -> None:
        """Losses and rates by step and by epoch; at the end, the figures of the bundle."""
        if isinstance(event, StepsDone):
            step = (event.epoch - 1) * event.steps + event.step
            self._scalars(step, {"steps/loss": event.loss, "steps/images_per_second": event.images_per_second})
        elif isinstance(event, EpochDone):
            parts = {f"train/{name}": value for name, value in event.train_parts.items()}
            parts |= {f"held_out/{name}": value for name, value in event.held_out_parts.items()}
            losses = {"train/loss": event.train_loss, "held_out/loss": event.held_out_loss, "epochs/lr": event.lr}
            self._scalars(event.epoch, {**losses, **parts})
        elif isinstance(event, Ended):
            figures = {f"test/{name}": value for name, value in event.metrics.items() if value is not None}
            self._scalars(event.epochs, figures)

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
