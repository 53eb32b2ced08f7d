"""Additive white gaussian noise."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator
from torch import Tensor

from aedeploy.config import Config


def _read_sigma(value: object) -> float | tuple[float, float]:
    numbers: Sequence[Any] = value if isinstance(value, list | tuple) and len(value) == 2 else [value, value]
    if not all(type(number) in (int, float) and 0.0 <= number < inf for number in numbers):
        raise ValueError("it is a number from 0 on, or a range of two, [lowest, highest]")
    lowest, highest = float(numbers[0]), float(numbers[1])
    if lowest > highest:
        raise ValueError("a range is [lowest, highest]")
    return lowest if lowest == highest else (lowest, highest)


class CorruptionConfig(Config):
    """``sigma``: the noise's standard deviation in units of [0, 1], or [lowest, highest], drawn for each image."""

    sigma: Annotated[float | tuple[float, float], BeforeValidator(_read_sigma)]


class Corruption:
    """x + σ·ε, ε ~ N(0, I). Not clipped: that would tell where the noise went beyond black and white."""

    def __init__(self, config: CorruptionConfig) -> None:
        self.sigma = config.sigma

    def __call__(self, image_BCHW: Tensor) -> Tensor:
        noise = torch.randn_like(image_BCHW)
        if not isinstance(self.sigma, tuple):
            return image_BCHW + self.sigma * noise
        lowest, highest = self.sigma
        sigma_B111 = torch.empty(len(image_BCHW), 1, 1, 1, device=image_BCHW.device).uniform_(lowest, highest)
        return image_BCHW + sigma_B111 * noise
