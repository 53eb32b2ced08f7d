"""A diagonal gaussian: two heads, mean and scale. Training samples by reparameterisation.

Kingma & Welling 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from aedeploy.config import Config
from aedeploy.models import bottlenecks
from aedeploy.models.bottlenecks import Code, at_least_float32

# Of a softplus scale: it may become 0 in float32, and its logarithm is wanted.
_LEAST_SCALE = 1e-6


class BottleneckConfig(Config):
    """``scale``: what the second head gives.

    ``logvar``: log σ²; ``exp``: log σ; ``softplus``: s, and σ = softplus(s) + 1e-6. The encoder gives log σ² all the
    same.
    """

    name: Literal["gaussian"] = "gaussian"
    scale: Literal["logvar", "softplus", "exp"] = "logvar"


class Bottleneck(bottlenecks.Bottleneck):
    """``latent`` = the posterior's mean, ``logvar`` = the logarithm of its variance; both of the latent's shape."""

    outputs: ClassVar[tuple[str, ...]] = ("latent", "logvar")
    distribution: ClassVar[Literal["point", "gaussian"]] = "gaussian"

    def __init__(self, config: BottleneckConfig, new_head: Callable[[], nn.Module], latent_dim: int) -> None:
        super().__init__()
        self.parameterisation = config.scale
        self.mean = new_head()
        self.scale = new_head()

    def forward(self, features: Tensor) -> Code:
        return {"latent": self.mean(features), "logvar": self._logvar(self.scale(features))}

    def sample(self, code: Code) -> Tensor:
        """The mean and noise of the posterior's scale; never part of an exported graph."""
        # In float32 whatever autocast says: beside a large mean, bfloat16 would round small noise away.
        mean, logvar = code["latent"].float(), code["logvar"].float()
        return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)

    def _logvar(self, given: Tensor) -> Tensor:
        if self.parameterisation == "logvar":
            return given
        if self.parameterisation == "exp":
            return 2.0 * given
        # In bfloat16 the least scale would be lost beside any other.
        return 2.0 * torch.log(functional.softplus(at_least_float32(given)) + _LEAST_SCALE)
