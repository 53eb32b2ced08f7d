"""Latents that are independent of each other: the total correlation of a β-TC-VAE (Chen et al. 2018)."""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor

from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig
from aedeploy.training.objectives._refusals import need_distribution

# Densities that are looked at together: the batches of an evaluation are large.
_LARGEST_BLOCK = 1 << 23


class TermConfig(WeightedConfig):
    """The β of a β-TC-VAE is the weight of 'kl' plus this one: 'kl' has the total correlation in it once."""


class Term:
    """KL(q(z) ‖ Π q(z_j)) in nats, estimated from the batch, times its images.

    q(z) and every q(z_j) are the mixtures of the batch's M posteriors, each at the samples that the decoder took: the
    paper's minibatch-weighted sampling without the size N of the data set, which adds (D − 1)·log N to its value and
    nothing to its gradient. The estimate lies between 0 (in the mean) and about (D − 1)·log M, which it reaches when
    posteriors do not overlap: compare it between runs of the same batch size only.
    """

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        need_distribution(premises, "total-correlation")

    def __call__(self, taken: TrainingPass) -> Tensor:
        mean_BD = taken.code["latent"].float().flatten(1)
        logvar_BD = taken.code["logvar"].float().flatten(1)
        rows = max(1, _LARGEST_BLOCK // mean_BD.numel())
        blocks = torch.split(taken.latent.float().flatten(1), rows)
        return torch.stack([total_correlations(block, mean_BD, logvar_BD).sum() for block in blocks]).sum()


def total_correlations(sample_SD: Tensor, mean_BD: Tensor, logvar_BD: Tensor) -> Tensor:
    """log q(z) − Σ_j log q(z_j) at each sample, q the mixture of the gaussians in equal parts; float32 [S]."""
    distance_SBD = sample_SD.unsqueeze(1) - mean_BD
    log_density_SBD = -0.5 * (distance_SBD.square() * (-logvar_BD).exp() + logvar_BD + log(2.0 * pi))
    log_parts = log(len(mean_BD))
    joint_S = log_density_SBD.sum(2).logsumexp(1) - log_parts
    marginals_SD = log_density_SBD.logsumexp(1) - log_parts
    return joint_S - marginals_SD.sum(1)
