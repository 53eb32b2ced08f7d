"""Single pixels turned black or white (Vincent et al. 2010)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BeforeValidator
from torch import Tensor

from aedeploy.config import Config
from aedeploy.training.corruption._range import Range, drawn, read_share


class CorruptionConfig(Config):
    """``share``: of the pixels, from 0 to 1, or [lowest, highest], drawn for each image."""

    share: Annotated[Range, BeforeValidator(read_share)]


class Corruption:
    """Each pixel, with all its channels, becomes 0 or 1 with a probability of share / 2 each."""

    def __init__(self, config: CorruptionConfig) -> None:
        self.share = config.share

    def __call__(self, image_BCHW: Tensor) -> Tensor:
        share = drawn(self.share, image_BCHW)
        chance_B1HW = torch.rand_like(image_BCHW[:, :1])
        return image_BCHW.masked_fill(chance_B1HW < share, 1.0).masked_fill(chance_B1HW < share / 2, 0.0)
