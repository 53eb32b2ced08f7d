"""What a run says, as event files for TensorBoard."""

from __future__ import annotations

import importlib.util
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from aedeploy.errors import MissingDependencyError
from aedeploy.training.events import Ended, EpochDone, Event, StepsDone, Watched

# Between the images of a grid, and round it: so many pixels, of a grey that neither black nor white images have.
_GAP, _GAP_LEVEL = 2, 128
# Larger images are reduced: there is a grid an epoch, and event files are never thinned out.
_LARGEST_SIDE = 256


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
        """Losses and rates by step and by epoch; pictures by epoch; at the end, the figures of the bundle."""
        if isinstance(event, StepsDone):
            step = (event.epoch - 1) * event.steps + event.step
            self._scalars(step, {"steps/loss": event.loss, "steps/images_per_second": event.images_per_second})
        elif isinstance(event, EpochDone):
            parts = {f"train/{name}": value for name, value in event.train_parts.items()}
            parts |= {f"held_out/{name}": value for name, value in event.held_out_parts.items()}
            losses = {"train/loss": event.train_loss, "held_out/loss": event.held_out_loss, "epochs/lr": event.lr}
            self._scalars(event.epoch, {**losses, **parts})
        elif isinstance(event, Watched):
            self.writer.add_image("pictures/reconstructions", picture_grid(event), event.epoch, dataformats="HWC")
        elif isinstance(event, Ended):
            figures = {f"test/{name}": value for name, value in event.metrics.items() if value is not None}
            self._scalars(event.epochs, figures)

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)


def picture_grid(event: Watched) -> np.ndarray:
    """uint8 [H, W, C], a column an image: the original, the input if it is another one, the reconstruction, and, in
    grey, by how much that differs from the original.
    """
    rows = [event.originals]
    if not np.array_equal(event.inputs, event.originals):
        rows.append(event.inputs)
    difference = np.abs(event.reconstructions.astype(np.int16) - event.originals).mean(-1, keepdims=True)
    error = np.broadcast_to(difference.round().astype(np.uint8), event.originals.shape)
    rows += [event.reconstructions, error]
    cells = [[_reduced(image) for image in row] for row in rows]
    height, width, channels = cells[0][0].shape
    down, across = height + _GAP, width + _GAP
    grid = np.full((len(cells) * down + _GAP, len(cells[0]) * across + _GAP, channels), _GAP_LEVEL, np.uint8)
    for y, row in enumerate(cells):
        for x, cell in enumerate(row):
            top, left = y * down + _GAP, x * across + _GAP
            grid[top : top + height, left : left + width] = cell
    return grid


def _reduced(image: np.ndarray) -> np.ndarray:
    factor = ceil(max(image.shape[:2]) / _LARGEST_SIDE)
    if factor == 1:
        return image
    grey = image.shape[-1] == 1
    reduced = np.asarray(Image.fromarray(image[..., 0] if grey else image).reduce(factor))
    return reduced[..., None] if grey else reduced
