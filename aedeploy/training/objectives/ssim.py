"""Structural dissimilarity, to mix with a reconstruction loss: with 'l1' as in Zhao et al. 2017, on one scale."""

from __future__ import annotations

from torch import Tensor

from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig
from aedeploy.training.objectives._refusals import refuse_standardised
from aedeploy.training.ssim import ssim_map


class TermConfig(WeightedConfig):
    """Zhao et al. take a ``weight`` of 0.84, and 0.16 for objective.reconstruction with the loss 'l1'."""


class Term:
    """Σ (1 − SSIM) over all pixels and channels of the batch."""

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        refuse_standardised(premises, "The term 'ssim'", "leave 'ssim' out")

    def __call__(self, taken: TrainingPass) -> Tensor:
        return (1.0 - ssim_map(taken.output.float(), taken.target)).sum()
