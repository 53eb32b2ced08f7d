"""A smooth decoder: the sum of its squared parameters, as in a RAE-L2 (Ghosh et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig


class TermConfig(WeightedConfig):
    """It has nothing more to set."""


class Term:
    """‖θ‖² times the images of the batch; θ is all that the decoder learns, weights and biases, and nothing else is.

    Unlike the optimiser's weight decay, it leaves the encoder alone and is part of the loss that is reported.
    """

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        pass

    def __call__(self, taken: TrainingPass) -> Tensor:
        squares = [parameter.float().square().sum() for parameter in taken.model.decoder.parameters()]
        return torch.stack(squares).sum() * len(taken.target)
