"""Additive white gaussian noise."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BeforeValidator
from torch import Tensor

from aedeploy.config import Config
from aedeploy.training.corruption._range import Range, drawn, range_reader

_read_sigma = range_reader(lambda number: number >= 0.0, "a number from 0 on")


class CorruptionConfig(Config):
    """``sigma``: the noise's standard deviation in units of [0, 1], or [lowest, highest], drawn for each image."""

    sigma: Annotated[Range, BeforeValidator(_read_sigma)]


class Corruption:
    """x + σ·ε, ε ~ N(0, I). Not clipped: that would tell where the noise went beyond black and white."""

    def __init__(self, config: CorruptionConfig) -> None:
        self.sigma = config.sigma

    @property
    def most(self) -> float:
        """The highest σ that is drawn."""
        return max(self.sigma) if isinstance(self.sigma, tuple) else self.sigma

    def strength(self, image_BCHW: Tensor) -> float | Tensor:
        """σ, or one for each image: float32 [B, 1, 1, 1]."""
        return drawn(self.sigma, image_BCHW)

    def __call__(self, image_BCHW: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        noise = torch.randn_like(image_BCHW)
        return image_BCHW + (self.strength(image_BCHW) if sigma is None else sigma) * noise
