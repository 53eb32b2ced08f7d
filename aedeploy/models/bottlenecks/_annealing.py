"""How many entries a sparse latent keeps while it is young (Makhzani & Frey 2013, section 4.2.1).

With few from the start, the units that happen to be chosen first learn everything, and the others never do anything.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from aedeploy.config import Config


class SparseConfig(Config):
    """``k`` entries of a vector are kept, or ``k`` channels at each place of a spatial latent."""

    k: int = Field(ge=1)
    anneal_batches: int = Field(
        default=300, ge=0, description="Training batches over which k falls to its value from all there are."
    )


class Annealing(nn.Module):
    """The k of each batch of training, in a straight line from ``latent_dim`` down. How many there were is saved."""

    batches: Tensor

    def __init__(self, k: int, latent_dim: int, anneal_batches: int) -> None:
        super().__init__()
        self.k, self.latent_dim, self.anneal_batches = k, latent_dim, anneal_batches
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self._over = False  # what ``batches`` is known to say, so that a device is not asked for ever

    def next_k(self) -> int:
        """That of the batch that is at hand, which is counted."""
        if self._over:
            return self.k
        batches = int(self.batches.item())
        self._over = batches >= self.anneal_batches
        self.batches.add_(1)
        share = min(1.0, batches / self.anneal_batches) if self.anneal_batches else 1.0
        return round(self.latent_dim + (self.k - self.latent_dim) * share)
