"""The plain bottleneck: the head's output is the latent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from aedeploy.config import Config
from aedeploy.models import bottlenecks
from aedeploy.models.bottlenecks import Code


class BottleneckConfig(Config):
    """It has nothing to set."""

    name: Literal["identity"] = "identity"


class Bottleneck(bottlenecks.Bottleneck):
    """``latent`` = head(features)."""

    def __init__(self, config: BottleneckConfig, new_head: Callable[[], nn.Module], latent_dim: int) -> None:
        super().__init__()
        self.head = new_head()

    def forward(self, features: Tensor) -> Code:
        return {"latent": self.head(features)}
