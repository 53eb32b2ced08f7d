"""The exact Kullback-Leibler divergence of the posterior from N(0, I), in nats (Kingma & Welling 2013, appendix B)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig
from aedeploy.training.objectives._refusals import need_distribution


class TermConfig(WeightedConfig):
    """``weight`` is the β of a β-VAE (Higgins et al. 2017).

    ``free_bits``: what each number of the latent may diverge without being asked for less, so that none is given up
    before it has learned anything (λ of Kingma et al. 2016, section 2.3).
    """

    free_bits: float = Field(default=0.0, ge=0.0, allow_inf_nan=False, description="In nats, for each latent number.")


class Term:
    """½ Σ (μ² + σ² − 1 − log σ²), over all latents of the batch.

    With free bits: Σ over the latent's numbers of max(λ, mean over the batch), times the images of the batch. An image
    may so have less than λ, as long as others have more.
    """

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        need_distribution(premises, "kl")
        self.free_bits = config.free_bits

    def __call__(self, taken: TrainingPass) -> Tensor:
        nats = kl_to_standard_normal(taken.code["latent"].float(), taken.code["logvar"].float())
        if not self.free_bits:
            return nats.sum()
        return nats.mean(0).clamp(min=self.free_bits).sum() * len(nats)


def kl_to_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, 1)) of each latent, in nats; of the shape of ``mean``."""
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar)
