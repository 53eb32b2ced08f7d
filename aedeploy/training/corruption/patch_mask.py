"""Square patches of a grid wiped out: what is there must be told from what is around it (He et al. 2022)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from aedeploy.config import Config
from aedeploy.training.corruption._range import Range, drawn, read_share


class CorruptionConfig(Config):
    """``size``: pixels of a patch's side; ``value``: what they become.

    ``share``: of the patches, from 0 to 1, or [lowest, highest], drawn for each image.
    """

    size: int = Field(default=4, ge=1)
    share: Annotated[Range, BeforeValidator(read_share)]
    value: float = Field(default=0.0, allow_inf_nan=False)


class Corruption:
    """Each patch of the grid, with all its channels, becomes ``value`` with a probability of ``share``.

    The grid begins at the upper left; at the right and lower borders its patches are cut where the image ends.
    """

    def __init__(self, config: CorruptionConfig) -> None:
        self.size, self.share, self.value = config.size, config.share, config.value

    def __call__(self, image_BCHW: Tensor) -> Tensor:
        share = drawn(self.share, image_BCHW)
        height, width = image_BCHW.shape[2:]
        rows, columns = -(-height // self.size), -(-width // self.size)
        masked = torch.rand(len(image_BCHW), 1, rows, columns, device=image_BCHW.device) < share
        masked_B1HW = masked.repeat_interleave(self.size, 2).repeat_interleave(self.size, 3)[..., :height, :width]
        return image_BCHW.masked_fill(masked_B1HW, self.value)
