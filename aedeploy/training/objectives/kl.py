"""The exact Kullback-Leibler divergence of the posterior from N(0, I), in nats (Kingma & Welling 2013, appendix B)."""

from __future__ import annotations

from torch import Tensor

from aedeploy.errors import ConfigError
from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig


class TermConfig(WeightedConfig):
    """``weight`` is the β of a β-VAE (Higgins et al. 2017)."""


class Term:
    """½ Σ (μ² + σ² − 1 − log σ²), over all latents of the batch."""

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        if premises.distribution != "gaussian":
            raise ConfigError(
                "The term 'kl' needs a bottleneck that gives a distribution, and "
                f"{premises.bottleneck!r} gives a point: take model.bottleneck.name = 'gaussian', or leave 'kl' out."
            )

    def __call__(self, taken: TrainingPass) -> Tensor:
        return kl_to_standard_normal(taken.code["latent"].float(), taken.code["logvar"].float()).sum()


def kl_to_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, 1)) of each latent, in nats; of the shape of ``mean``."""
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar)
