"""Single pixels wiped out: the masking noise of the first denoising autoencoders (Vincent et al. 2008)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from aedeploy.config import Config
from aedeploy.training.corruption._range import Range, drawn, read_share


class CorruptionConfig(Config):
    """``share``: of the pixels, from 0 to 1, or [lowest, highest], drawn for each image.

    ``value``: what they become.
    """

    share: Annotated[Range, BeforeValidator(read_share)]
    value: float = Field(default=0.0, allow_inf_nan=False)


class Corruption:
    """Each pixel, with all its channels, becomes ``value`` with a probability of ``share``."""

    def __init__(self, config: CorruptionConfig) -> None:
        self.share, self.value = config.share, config.value

    def __call__(self, image_BCHW: Tensor) -> Tensor:
        share = drawn(self.share, image_BCHW)
        return image_BCHW.masked_fill(torch.rand_like(image_BCHW[:, :1]) < share, self.value)
