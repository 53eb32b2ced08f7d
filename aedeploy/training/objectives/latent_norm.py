"""Latents that stay near the origin: half their squared length, as in a RAE (Ghosh et al. 2020)."""

from __future__ import annotations

from torch import Tensor

from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig
from aedeploy.training.objectives._refusals import refuse_rounded


class TermConfig(WeightedConfig):
    """It has nothing more to set."""


class Term:
    """½ Σ z², over all latents of the batch: what is left of the KL when the variance is a constant."""

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        refuse_rounded(premises, "latent-norm")

    def __call__(self, taken: TrainingPass) -> Tensor:
        return 0.5 * taken.code["latent"].float().square().sum()
