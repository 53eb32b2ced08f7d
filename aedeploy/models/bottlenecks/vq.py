"""A codebook, learned by moving averages; each place becomes its nearest entry (van den Oord et al. 2017, VQ-VAE)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from math import inf
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from aedeploy.config import Config
from aedeploy.errors import ConfigError
from aedeploy.models import bottlenecks
from aedeploy.models.bottlenecks import Code, LatentKind, Verdict, at_least_float32
from aedeploy.models.collective import add_up, align


class BottleneckConfig(Config):
    """``decay`` and ``epsilon`` are the paper's γ and the ε by which sizes are smoothed (its appendix A.1)."""

    name: Literal["vq"] = "vq"
    codebook_size: int = Field(default=512, ge=2)
    decay: float = Field(default=0.99, gt=0.0, lt=1.0, description="Of the moving averages, by training step.")
    epsilon: float = Field(default=1e-5, gt=0.0, allow_inf_nan=False)
    revive_below: float = Field(
        default=0.05,
        ge=0.0,
        lt=1.0,
        description="A code that stands for fewer places than this share of the average code is dead, and replaced.",
    )


class Bottleneck(bottlenecks.Bottleneck):
    """``latent`` = the entry of the codebook that is nearest to head(features), ``indices`` = which; place by place.

    The codebook starts as latents of the first batch. Then each entry follows the mean of the latents that it stands
    for; no gradient reaches it, and that of the decoder passes to the latents as if they had not been replaced. A dead
    entry becomes a latent of the batch, drawn with a chance in proportion to its squared distance from its own entry,
    as k-means++ does (Arthur & Vassilvitskii 2007): where a batch is mostly background, a plain draw would give
    mostly background once more.
    """

    outputs: ClassVar[tuple[str, ...]] = ("latent", "indices")
    quantises: ClassVar[bool] = True
    codebook: Tensor  # [K, D]
    cluster_size: Tensor  # [K]: places of a batch that an entry stands for; a moving average, as is
    cluster_sum: Tensor  # [K, D]: the sum of their latents
    initialised: Tensor

    def __init__(self, config: BottleneckConfig, new_head: Callable[[], nn.Module], latent_dim: int) -> None:
        super().__init__()
        self.head = new_head()
        self.decay, self.epsilon, self.revive_below = config.decay, config.epsilon, config.revive_below
        self.register_buffer("codebook", torch.randn(config.codebook_size, latent_dim))
        self.register_buffer("cluster_size", torch.zeros(config.codebook_size))
        self.register_buffer("cluster_sum", torch.zeros(config.codebook_size, latent_dim))
        self.register_buffer("initialised", torch.tensor(False))
        self._begun = False  # what ``initialised`` is known to say, so that a device is asked once only

    @classmethod
    def check(cls, config: BottleneckConfig, latent_dim: int, kind: LatentKind) -> None:
        check_spatial("vq", kind)

    @property
    def codebook_size(self) -> int:
        return len(self.codebook)

    def forward(self, features: Tensor) -> Code:
        latent, indices = self._nearest(at_least_float32(self.head(features)))
        return {"latent": latent, "indices": indices}

    def training_code(self, features: Tensor) -> Code:
        continuous = at_least_float32(self.head(features))
        learning = self.training and torch.is_grad_enabled()
        if learning:
            self._begin(continuous.detach())
        latent, indices = self._nearest(continuous.detach())
        if learning:
            self._learn(_rows(continuous.detach()), indices.flatten())
        return {"latent": latent, "indices": indices, "continuous": continuous}

    def sample(self, code: Code) -> Tensor:
        """The quantised latent, whose gradient goes straight through to the continuous one."""
        return code["continuous"] + (code["latent"] - code["continuous"]).detach()

    def verdict(self, features: Tensor, code: Code) -> Verdict:
        """By the squared distance to the entry of ``indices``, beyond that to the nearest."""
        continuous_BHWD = at_least_float32(self.head(features)).movedim(1, -1)
        codebook = self.codebook.to(continuous_BHWD.dtype)
        _, best_BHW = self._nearest(continuous_BHWD.movedim(-1, 1))
        known_BHW = (code["indices"] >= 0) & (code["indices"] < self.codebook_size)
        chosen_BHWD, best_BHWD = (
            functional.embedding(at, codebook) for at in (torch.where(known_BHW, code["indices"], 0), best_BHW)
        )
        further = (continuous_BHWD - chosen_BHWD).square().sum(-1) - (continuous_BHWD - best_BHWD).square().sum(-1)
        # What is added up to find the distances: their own size may be far less.
        size = continuous_BHWD.square().sum(-1) + chosen_BHWD.square().sum(-1)
        gap = (further / size.clamp_min(torch.finfo(size.dtype).tiny)).clamp_min(0.0)
        return Verdict(gap=gap.where(known_BHW, inf), latent=chosen_BHWD.movedim(-1, 1))

    def _nearest(self, continuous_BDHW: Tensor) -> tuple[Tensor, Tensor]:
        """By ‖z − e‖² without its ‖z‖², which is the same for all entries; in float32 whatever autocast says."""
        device = continuous_BDHW.device.type
        with torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext():
            products_BHWK = continuous_BDHW.movedim(1, -1) @ self.codebook.T
        indices_BHW = (self.codebook.square().sum(1) - 2.0 * products_BHWK).argmin(-1)
        return functional.embedding(indices_BHW, self.codebook).movedim(-1, 1), indices_BHW

    def _begin(self, continuous: Tensor) -> None:
        """Take the first codebook from the first batch."""
        if self._begun:
            return
        if not self.initialised.item():
            rows = _rows(continuous)
            drawn = rows[_draw(torch.ones(len(rows), device=rows.device), self.codebook_size)]
            self.codebook.copy_(drawn[torch.arange(self.codebook_size) % len(drawn)])
            align(self.codebook)
            self.initialised.fill_(True)
        self._begun = True

    @torch.no_grad()
    def _learn(self, rows_ND: Tensor, at_N: Tensor) -> None:
        size_K = torch.zeros_like(self.cluster_size).index_add_(0, at_N, torch.ones_like(rows_ND[:, 0]))
        sum_KD = torch.zeros_like(self.cluster_sum).index_add_(0, at_N, rows_ND)
        add_up(size_K, sum_KD)
        self.cluster_size.lerp_(size_K, 1.0 - self.decay)
        self.cluster_sum.lerp_(sum_KD, 1.0 - self.decay)
        total = self.cluster_size.sum()
        smoothed_K = (self.cluster_size + self.epsilon) / (total + self.codebook_size * self.epsilon) * total
        means_KD = self.cluster_sum / smoothed_K[:, None]
        # An entry that has never been used has no mean.
        self.codebook.copy_(torch.where(self.cluster_size[:, None] > 0.0, means_KD, self.codebook))
        if self.revive_below:
            self._revive(rows_ND, at_N)

    def _revive(self, rows_ND: Tensor, at_N: Tensor) -> None:
        """Replace dead entries. Without a question to the device: it costs little, and a wait would cost more."""
        average = self.cluster_size.mean()
        dead_K = self.cluster_size < self.revive_below * average
        distance_N = (rows_ND - functional.embedding(at_N, self.codebook)).square().sum(1)
        drawn = _draw(distance_N, self.codebook_size)
        # The first of the dead gets the first that was drawn: with nothing to choose from twice, none is given twice.
        turn_K = (dead_K.cumsum(0) - 1).clamp_min(0) % len(drawn)
        new_KD = rows_ND[drawn[turn_K]]
        align(new_KD)
        self.codebook.copy_(torch.where(dead_K[:, None], new_KD, self.codebook))
        # As if it had been of average use, which gives it some time to show whether it is.
        self.cluster_sum.copy_(torch.where(dead_K[:, None], new_KD * average, self.cluster_sum))
        self.cluster_size.copy_(torch.where(dead_K, average, self.cluster_size))


def check_spatial(bottleneck: str, kind: LatentKind) -> None:
    """Raise a ConfigError where a latent has no places."""
    if kind != "spatial":
        raise ConfigError(
            f"The bottleneck {bottleneck!r} gives an index to each place of a spatial latent, and the latent is a "
            "vector: take model.backbone.latent = 'spatial' (of a backbone that has it, such as 'conv')."
        )


def _rows(latent_BDHW: Tensor) -> Tensor:
    return latent_BDHW.movedim(1, -1).flatten(0, -2)


def _draw(weights_N: Tensor, count: int) -> Tensor:
    """Positions, at most ``count`` and none twice, with chances in proportion to ``weights`` (Efraimidis 2006).

    Unlike ``torch.multinomial`` it takes weights of 0, and numbers that are none: the loop is to tell of those.
    """
    keys = weights_N.clamp_min(1e-12) / torch.empty_like(weights_N).exponential_()
    return keys.topk(min(count, len(keys))).indices
