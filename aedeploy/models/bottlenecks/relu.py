"""A latent that is never negative: the head's output after a ReLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from torch import Tensor, nn

from aedeploy.config import Config
from aedeploy.models import bottlenecks
from aedeploy.models.bottlenecks import Code


class BottleneckConfig(Config):
    """It has nothing to set."""

    name: Literal["relu"] = "relu"


class Bottleneck(bottlenecks.Bottleneck):
    """``latent`` = max(0, head(features))."""

    latent_range: ClassVar[Literal["any", "nonnegative", "unit"]] = "nonnegative"

    def __init__(self, config: BottleneckConfig, new_head: Callable[[], nn.Module], latent_dim: int) -> None:
        super().__init__()
        self.head = new_head()

    def forward(self, features: Tensor) -> Code:
        return {"latent": self.head(features).relu()}
