"""The k largest entries of the head's output, the others 0: the k-sparse autoencoder (Makhzani & Frey 2013)."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from aedeploy.errors import ConfigError
from aedeploy.models import bottlenecks
from aedeploy.models.bottlenecks import Code, LatentKind, Verdict
from aedeploy.models.bottlenecks._annealing import Annealing, SparseConfig


class BottleneckConfig(SparseConfig):
    """``k`` entries of a vector are kept, or ``k`` channels at each place of a spatial latent.

    ``activation``: what is done before the choice. The paper's encoder is linear: ``none``.
    """

    name: Literal["top-k"] = "top-k"
    activation: Literal["none", "relu"] = "none"


class Bottleneck(bottlenecks.Bottleneck):
    """``latent`` = head(features) where that is one of the k largest along the channel axis, else 0.

    Exactly k are kept, whatever ties there are, and only they get a gradient. In the first batches of training there
    are more.
    """

    masks: ClassVar[bool] = True

    def __init__(self, config: BottleneckConfig, new_head: Callable[[], nn.Module], latent_dim: int) -> None:
        super().__init__()
        self.head = new_head()
        self.k = config.k
        self.annealing = Annealing(config.k, latent_dim, config.anneal_batches)
        self.rectified = config.activation == "relu"

    @classmethod
    def check(cls, config: BottleneckConfig, latent_dim: int, kind: LatentKind) -> None:
        check_k(config.k, latent_dim)

    def forward(self, features: Tensor) -> Code:
        return self._keep(features, self.k)

    def training_code(self, features: Tensor) -> Code:
        learning = self.training and torch.is_grad_enabled()
        return self._keep(features, self.annealing.next_k() if learning else self.k)

    def verdict(self, features: Tensor, code: Code) -> Verdict:
        """By how far an entry that is kept lies below the least of the k, and one that is not above the next."""
        dense = self._dense(features)
        kept = code["latent"] != 0.0
        ordered = dense.sort(dim=1, descending=True).values
        least = ordered[:, self.k - 1 : self.k]
        following = ordered[:, self.k : self.k + 1] if self.k < dense.shape[1] else least - inf
        # An entry that is 0 by itself is the same kept and left out.
        beyond = torch.where(kept, least - dense, torch.where(dense == 0.0, 0.0, dense - following))
        # Kept, and one of the k: nothing is beyond. Left out, and none of the k: neither.
        beyond = beyond.where(kept != (dense >= least), 0.0)
        return Verdict(gap=relative_to_peak(beyond, dense), latent=torch.where(kept, dense, 0.0))

    def _dense(self, features: Tensor) -> Tensor:
        dense: Tensor = self.head(features)
        return dense.relu() if self.rectified else dense

    def _keep(self, features: Tensor, k: int) -> Code:
        dense = self._dense(features)
        values, at = dense.topk(k, dim=1)
        return {"latent": torch.zeros_like(dense).scatter(1, at, values)}


def relative_to_peak(beyond: Tensor, dense: Tensor) -> Tensor:
    """A gap in the head's own units, of the size of the largest entry at its place; never below 0."""
    peak = dense.abs().amax(1, keepdim=True)
    return (beyond / peak.clamp_min(torch.finfo(dense.dtype).tiny)).clamp_min(0.0)


def check_k(k: int, latent_dim: int) -> None:
    """Raise a ConfigError where more entries would be kept than there are."""
    if k > latent_dim:
        raise ConfigError(
            f"'model.bottleneck.k' = {k} keeps more entries than the latent has (model.latent_dim = {latent_dim}): "
            f"give a k from 1 to {latent_dim}."
        )
