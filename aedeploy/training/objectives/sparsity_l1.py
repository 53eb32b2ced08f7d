"""Few large latents: the sum of their absolute values."""

from __future__ import annotations

from torch import Tensor

from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig
from aedeploy.training.objectives._refusals import refuse_rounded


class TermConfig(WeightedConfig):
    """It has nothing more to set."""


class Term:
    """Σ |z|, over all latents of the batch. Exact zeros come with the bottleneck 'relu'; without it, small values."""

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        refuse_rounded(premises, "sparsity-l1")

    def __call__(self, taken: TrainingPass) -> Tensor:
        return taken.code["latent"].float().abs().sum()
