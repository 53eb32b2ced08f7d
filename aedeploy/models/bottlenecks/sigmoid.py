"""A latent in (0, 1): the head's output after a sigmoid."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from torch import Tensor, nn

from aedeploy.config import Config
from aedeploy.models import bottlenecks
from aedeploy.models.bottlenecks import Code


class BottleneckConfig(Config):
    """It has nothing to set."""

    name: Literal["sigmoid"] = "sigmoid"


class Bottleneck(bottlenecks.Bottleneck):
    """``latent`` = 1 / (1 + exp(−head(features)))."""

    latent_range: ClassVar[Literal["any", "nonnegative", "unit"]] = "unit"

    def __init__(self, config: BottleneckConfig, new_head: Callable[[], nn.Module], latent_dim: int) -> None:
        super().__init__()
        self.head = new_head()

    def forward(self, features: Tensor) -> Code:
        return {"latent": self.head(features).sigmoid()}
