"""k entries an image, shared out over a batch; once trained, a threshold (Bussmann et al. 2024, BatchTopK)."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aedeploy.models import bottlenecks
from aedeploy.models.bottlenecks import Code, LatentKind, Verdict
from aedeploy.models.bottlenecks._annealing import Annealing, SparseConfig
from aedeploy.models.bottlenecks.top_k import check_k, relative_to_peak
from aedeploy.models.collective import add_up


class BottleneckConfig(SparseConfig):
    """``k`` entries are kept of a vector on average, or ``k`` channels of a place of a spatial latent."""

    name: Literal["batch-topk"] = "batch-topk"
    momentum: float = Field(
        default=0.05, gt=0.0, le=1.0, description="Weight of a new batch in the running mean of the threshold."
    )


class Bottleneck(bottlenecks.Bottleneck):
    """``latent`` = z where z > ``threshold``, else 0, of z = max(0, head(features)).

    In training the k · B largest z of a batch of B are kept instead, so that an image may have more of them than
    another, and ``threshold`` follows the least positive one of those. It is 0 until there was a batch. In the first
    batches more than k are kept.
    """

    latent_range: ClassVar[Literal["any", "nonnegative", "unit"]] = "nonnegative"
    masks: ClassVar[bool] = True
    threshold: Tensor

    def __init__(self, config: BottleneckConfig, new_head: Callable[[], nn.Module], latent_dim: int) -> None:
        super().__init__()
        self.head = new_head()
        self.k, self.latent_dim, self.momentum = config.k, latent_dim, config.momentum
        self.annealing = Annealing(config.k, latent_dim, config.anneal_batches)
        self.register_buffer("threshold", torch.zeros(()))

    @classmethod
    def check(cls, config: BottleneckConfig, latent_dim: int, kind: LatentKind) -> None:
        check_k(config.k, latent_dim)

    def forward(self, features: Tensor) -> Code:
        dense = self.head(features).relu()
        return {"latent": torch.where(dense > self.threshold, dense, 0.0)}

    def verdict(self, features: Tensor, code: Code) -> Verdict:
        """By how far an entry lies on the wrong side of the threshold."""
        dense = self.head(features).relu()
        kept = code["latent"] != 0.0
        beyond = torch.where(kept, self.threshold - dense, dense - self.threshold)
        return Verdict(gap=relative_to_peak(beyond, dense), latent=torch.where(kept, dense, 0.0))

    def training_code(self, features: Tensor) -> Code:
        if not self.training:
            return self(features)  # type: ignore[no-any-return]
        dense: Tensor = self.head(features).relu()
        flat = dense.flatten()
        vectors = flat.numel() // self.latent_dim
        learning = torch.is_grad_enabled()
        k = self.annealing.next_k() if learning else self.k
        values, at = flat.topk(k * vectors)
        if learning:
            # Of the k that it is to be in the end: what is held out is judged by that from the start.
            self._follow(values.detach()[: self.k * vectors])
        return {"latent": torch.zeros_like(flat).scatter(0, at, values).view_as(dense)}

    @torch.no_grad()
    def _follow(self, kept: Tensor) -> None:
        """Take the least positive value kept into the running mean; a batch without one says nothing."""
        least = torch.where(kept > 0.0, kept, inf).min().float()
        found = torch.stack([torch.where(least < inf, least, 0.0), (least < inf).float()])
        add_up(found)
        mean = found[0] / found[1].clamp_min(1.0)
        followed = torch.where(self.threshold > 0.0, torch.lerp(self.threshold, mean, self.momentum), mean)
        self.threshold.copy_(torch.where(found[1] > 0.0, followed, self.threshold))
