"""A diagonal gaussian: two heads, mean and log-variance. Training samples by reparameterisation.

Kingma & Welling 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from aedeploy.config import Config
from aedeploy.models import bottlenecks
from aedeploy.models.bottlenecks import Code


class BottleneckConfig(Config):
    """It has nothing to set yet: the scale is exp(logvar / 2)."""

    name: Literal["gaussian"] = "gaussian"


class Bottleneck(bottlenecks.Bottleneck):
    """``latent`` = the posterior's mean, ``logvar`` = the logarithm of its variance; both of the latent's shape."""

    outputs: ClassVar[tuple[str, ...]] = ("latent", "logvar")
    distribution: ClassVar[Literal["point", "gaussian"]] = "gaussian"

    def __init__(self, config: BottleneckConfig, new_head: Callable[[], nn.Module], latent_dim: int) -> None:
        super().__init__()
        self.mean = new_head()
        self.logvar = new_head()

    def forward(self, features: Tensor) -> Code:
        return {"latent": self.mean(features), "logvar": self.logvar(features)}

    def sample(self, code: Code) -> Tensor:
        """The mean and noise of the posterior's scale; never part of an exported graph."""
        return code["latent"] + torch.exp(0.5 * code["logvar"]) * torch.randn_like(code["latent"])
