"""Units that are rarely on: the divergence of each one's mean activation from a small target.

Lee et al. 2007; in this form Ng, "Sparse autoencoder", CS294A lecture notes, 2011.
"""

from __future__ import annotations

from math import log

from pydantic import Field
from torch import Tensor

from aedeploy.errors import ConfigError
from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig

# A unit that is off in a whole batch: its logarithm, and the gradient, must stay numbers.
_SMALLEST = 1e-6


class TermConfig(WeightedConfig):
    """``target`` is ρ, the mean activation that every unit should have."""

    target: float = Field(default=0.05, gt=0.0, lt=1.0)


class Term:
    """Σ_j ρ·log(ρ / ρ̂_j) + (1 − ρ)·log((1 − ρ) / (1 − ρ̂_j)), in nats, times the images of the batch.

    ρ̂_j is the mean of unit j over the batch; of a spatial latent a unit is a channel, and the mean is also over
    height and width.
    """

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        if premises.latent_range != "unit":
            raise ConfigError(
                f"The term 'sparsity-kl' needs latents in [0, 1], and the bottleneck {premises.bottleneck!r} does not "
                "keep them there: take model.bottleneck.name = 'sigmoid', or the term 'sparsity-l1'."
            )
        self.target = config.target

    def __call__(self, taken: TrainingPass) -> Tensor:
        latent = taken.code["latent"].float()
        activity_D = latent.transpose(0, 1).flatten(1).mean(1).clamp(_SMALLEST, 1.0 - _SMALLEST)
        on, off = self.target, 1.0 - self.target
        nats = on * (log(on) - activity_D.log()) + off * (log(off) - (-activity_D).log1p())
        return nats.sum() * len(latent)
