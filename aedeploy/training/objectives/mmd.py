"""Latents distributed like N(0, I), as a whole: the maximum mean discrepancy of a WAE (Tolstikhin et al. 2018)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig

Scale = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class TermConfig(WeightedConfig):
    """``imq``: C / (C + d²), inverse multi-quadratic; ``rbf``: exp(−d² / C); the sum over C = 2·D·scale.

    2·D is the mean squared distance of two draws of N(0, I) in D dimensions. The scales are those of the paper's code.
    """

    kernel: Literal["imq", "rbf"] = "imq"
    # Not strict: of TOML it comes as a list.
    scales: tuple[Scale, ...] = Field(default=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0), strict=False, min_length=1)


class Term:
    """The unbiased estimate of MMD² from the latents of the batch and as many draws of N(0, I), times the images.

    The latents are those that the decoder took, a spatial one as one long vector. The estimate is 0 in the mean where
    the two distributions are one, so it can be negative; its noise falls with the batch size.
    """

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        self.kernel = config.kernel
        self.scales = config.scales

    def __call__(self, taken: TrainingPass) -> Tensor:
        latent_BD = taken.latent.float().flatten(1)
        prior_BD = torch.randn_like(latent_BD)
        within = self._between_different(latent_BD) + self._between_different(prior_BD)
        across = self._kernel(latent_BD, prior_BD).mean()
        return (within - 2.0 * across) * len(latent_BD)

    def _between_different(self, one_BD: Tensor) -> Tensor:
        """The kernel's mean over pairs of different rows; 0 for a single row, which has none."""
        rows, kernel_BB = len(one_BD), self._kernel(one_BD, one_BD)
        return (kernel_BB.sum() - kernel_BB.diagonal().sum()) / max(1, rows * (rows - 1))

    def _kernel(self, one_BD: Tensor, other_BD: Tensor) -> Tensor:
        """k of every row of one with every row of the other, [B, B]; 1 for each scale where they are equal."""
        squared_BB = (
            one_BD.square().sum(1, keepdim=True) + other_BD.square().sum(1) - 2.0 * one_BD @ other_BD.T
        ).clamp(min=0.0)
        total = torch.zeros_like(squared_BB)
        for scale in self.scales:
            width = 2.0 * one_BD.shape[1] * scale
            total = total + (width / (width + squared_BB) if self.kernel == "imq" else (-squared_BB / width).exp())
        return total
