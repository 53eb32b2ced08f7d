"""The bound of several importance-weighted samples, tighter than the ELBO (Burda, Grosse & Salakhutdinov 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from aedeploy.config import Config
from aedeploy.errors import ConfigError
from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training import methods
from aedeploy.training.methods import MODEL, Batch, Loss, Setting
from aedeploy.training.objective import Objective
from aedeploy.training.objectives import Premises


class MethodConfig(Config):
    """``samples``: of each image; with one, the bound is the ELBO itself, its KL estimated by that sample."""

    name: Literal["importance-weighted"] = "importance-weighted"
    samples: int = Field(default=5, ge=1, le=1000)


class Method(methods.Method):
    """−log (1/K) Σ p(x|z) p(z) / q(z|x) over K samples of z from q. The objective's terms are reported beside it."""

    def __init__(self, config: MethodConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self.samples = config.samples

    @classmethod
    def check(cls, config: Any, premises: Premises, backbone: Mapping[str, Any], objective: Objective) -> None:
        """The bound is of a likelihood and a distribution, and has no weights."""
        if premises.distribution != "gaussian":
            raise ConfigError(
                "The method 'importance-weighted' needs a bottleneck that gives a distribution, and "
                f"{premises.bottleneck!r} gives a point: take model.bottleneck.name = 'gaussian', "
                "or training.method.name = 'joint'."
            )
        weights = {term.name: (term.weight, term.warmup_epochs) for term in objective.terms}
        plain = weights == {"reconstruction": (1.0, 0.0), "kl": (1.0, 0.0)} and not objective.table["kl"]["free_bits"]
        if not objective.likelihood or not plain:
            raise ConfigError(
                "The method 'importance-weighted' bounds a likelihood: its objective is "
                "objective.reconstruction.loss = 'bce' and objective.kl, both of weight 1 without warm-up or free "
                "bits, and no more."
            )

    def names(self, phase: int) -> tuple[str, ...]:
        return ("bound", *self.objective.names)

    def losses(self, batch: Batch) -> Iterator[Loss]:
        taken = self.forward(batch.corrupted, batch.clean, self.samples)
        bound = -(torch.logsumexp(log_weights(taken), 1) - log(self.samples)).sum()
        with torch.no_grad():
            _, parts = self.objective(taken)
        yield Loss(
            player=MODEL,
            value=bound * self.objective.scale(len(batch.clean), batch.clean[0].numel()),
            sums=torch.cat([bound.detach()[None], parts / self.samples]),
        )

    def figures(self, phase: int, sums: Sequence[float], images: int, pixels: int) -> tuple[float, dict[str, float]]:
        _, parts = self.objective.figures(sums[1:], images, pixels)
        bound = sums[0] / self.objective.unit(images, pixels)
        return bound, {"bound": bound, **parts}


def log_weights(taken: TrainingPass) -> Tensor:
    """log p(x|z) + log p(z) − log q(z|x) of every sample, float32 [images, samples], for a Bernoulli decoder."""
    bce = functional.binary_cross_entropy_with_logits(taken.raw.float(), taken.target, reduction="none")
    latent, mean, logvar = (t.float().flatten(1) for t in (taken.latent, taken.code["latent"], taken.code["logvar"]))
    # The constants of both densities are the same.
    log_prior = -0.5 * latent.square().sum(1)
    log_posterior = -0.5 * ((latent - mean).square() * torch.exp(-logvar) + logvar).sum(1)
    return (log_prior - log_posterior - bce.flatten(1).sum(1)).view(-1, taken.samples)
