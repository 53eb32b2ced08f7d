"""Shot noise: as if each pixel were a count of photons."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BeforeValidator
from torch import Tensor

from aedeploy.config import Config
from aedeploy.training.corruption._range import Range, drawn, range_reader

_read_peak = range_reader(lambda number: number > 0.0, "a number above 0")


class CorruptionConfig(Config):
    """``peak``: the photons of a white pixel, or [lowest, highest], drawn for each image. Fewer are more noise."""

    peak: Annotated[Range, BeforeValidator(_read_peak)]


class Corruption:
    """Poisson(peak·x) / peak: of mean x and variance x / peak, each channel on its own, and not clipped.

    What an earlier corruption made darker than black counts as black.
    """

    def __init__(self, config: CorruptionConfig) -> None:
        self.peak = config.peak

    def __call__(self, image_BCHW: Tensor) -> Tensor:
        peak = drawn(self.peak, image_BCHW)
        return torch.poisson(image_BCHW.clamp(min=0.0) * peak) / peak
