"""How far reconstructions are from their images: what ``reconstruct --score`` measures.

    mse    the mean of (image − reconstruction)² over all pixels and channels, values in [0, 1]
    ssim   see aedeploy/images/ssim.py

Both where the model works: on the pixels that went into the graph and those that came out. What lies beside a fitted
image counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from aedeploy.images.geometry import Box, restored
from aedeploy.images.heatmap import colours, levels
from aedeploy.images.pixels import to_floats
from aedeploy.images.ssim import ssim
from aedeploy.jobs.chunk import Row
from aedeploy.jobs.spec import Scoring, Settings
from aedeploy.runtime.runner import Arrays

#: What a heat map's brightest colour stands for: a difference between pixel values, of which 1 is the whole range.
#: Without a threshold half the range; else so many times its root. A 64th of an image at 8 times is a whole threshold.
_TOP, _TOP_IN_ROOTS = 0.5, 8.0


class Scorer:
    """Measures the images of a job, and draws their heat maps where it has any."""

    def __init__(self, settings: Settings, scoring: Scoring) -> None:
        self._heatmaps = scoring.heatmaps
        self._restores = settings.size == "original"
        self._top = heatmap_top(scoring)
        self._note = f"viridis, from 0 to a difference of {self._top:.4g} of 1"

    def measure(self, rows: Sequence[Row], pixels: np.ndarray, made: np.ndarray) -> Arrays:
        """The arrays ``mse`` and ``ssim``, float32 [rows]; and every row gets its heat map as its image.

        ``pixels`` are uint8 or uint16 [rows, H, W, C]; ``made`` is what a graph gave of them: float32 [rows, C, H, W]
        in [0, 1], or uint8 [rows, H, W, C].
        """
        x, y = to_floats(pixels), made if made.dtype != np.uint8 else to_floats(made)
        squares_BHW = np.square(x - y).mean(axis=1)
        errors = {"mse": np.empty(len(rows), np.float32), "ssim": np.empty(len(rows), np.float32)}
        for frame, which in _by_frame(rows):
            down, across = (slice(None), slice(None)) if frame is None else _slices(frame)
            errors["mse"][which] = squares_BHW[which, down, across].mean(axis=(1, 2), dtype=np.float64)
            errors["ssim"][which] = ssim(x[which, :, down, across], y[which, :, down, across])
        if self._heatmaps:
            for row, squares_HW in zip(rows, squares_BHW, strict=True):
                self._draw(row, squares_HW)
        return errors

    def _draw(self, row: Row, squares_HW: np.ndarray) -> None:
        lit = levels(np.sqrt(squares_HW), self._top)
        if row.placement is not None and self._restores:
            lit = restored(lit, row.placement)
        row.image = colours(lit)
        row.notes["aedeploy.heatmap"] = self._note


def heatmap_top(scoring: Scoring) -> float:
    """The difference of pixel values, in (0, 1], from which on a heat map is of its brightest colour."""
    if not scoring.threshold:
        return _TOP
    return min(1.0, _TOP_IN_ROOTS * math.sqrt(scoring.threshold))


def _by_frame(rows: Sequence[Row]) -> list[tuple[Box | None, slice | list[int]]]:
    """Which rows have which frame."""
    found: dict[Box | None, list[int]] = {}
    for number, row in enumerate(rows):
        found.setdefault(row.placement.frame if row.placement else None, []).append(number)
    return [(frame, numbers if len(found) > 1 else slice(None)) for frame, numbers in found.items()]


def _slices(frame: Box) -> tuple[slice, slice]:
    left, upper, right, lower = frame
    return slice(upper, lower), slice(left, right)
