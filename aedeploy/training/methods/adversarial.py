"""A prior imposed by a discriminator of latents: the adversarial autoencoder (Makhzani et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from aedeploy.config import Config
from aedeploy.errors import ConfigError
from aedeploy.training import methods
from aedeploy.training.methods import MODEL, Batch, Loss, Setting
from aedeploy.training.objective import Objective
from aedeploy.training.objectives import Premises

_DISCRIMINATOR = "discriminator"


class MethodConfig(Config):
    """``weight``: of fooling the discriminator, in nats an image, beside the objective; ``hidden``: its widths."""

    name: Literal["adversarial"] = "adversarial"
    weight: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    # Not strict: of TOML it comes as a list.
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(256, 256), strict=False)


class Method(methods.Method):
    """Two players a batch: the model, which also wants its latents to pass for N(0, I), and the discriminator."""

    def __init__(self, config: MethodConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self.weight = config.weight
        self.extra[_DISCRIMINATOR] = _discriminator(setting.latent_dim, config.hidden)

    @classmethod
    def check(cls, config: Any, premises: Premises, backbone: Mapping[str, Any], objective: Objective) -> None:
        """The prior is one of unbounded vectors."""
        if premises.latent_kind != "vector" or premises.latent_range != "any" or premises.quantises:
            raise ConfigError(
                "The method 'adversarial' brings latents to N(0, I), and those of "
                f"{premises.bottleneck!r} here are {_nature(premises)}: take model.bottleneck.name = 'identity' or "
                "'gaussian' and a latent vector."
            )

    @property
    def players(self) -> dict[str, dict[str, nn.Parameter]]:
        return {**super().players, _DISCRIMINATOR: dict(self.extra.named_parameters())}

    def names(self, phase: int) -> tuple[str, ...]:
        return (*self.objective.names, "adversarial", _DISCRIMINATOR)

    def losses(self, batch: Batch) -> Iterator[Loss]:
        discriminator = self.extra[_DISCRIMINATOR]
        taken = self.forward(batch.corrupted, batch.clean)
        value, sums = self.objective(taken, batch.epoch)
        images, latent = len(batch.clean), taken.latent.float()
        with _held(discriminator):
            fooled = functional.softplus(-discriminator(latent)).sum()
        # Shared out as a term of the objective would be.
        scale = self.objective.scale(images, batch.clean[0].numel())
        yield Loss(
            player=MODEL, value=value + self.weight * scale * fooled, sums=torch.cat([sums, fooled.detach()[None]])
        )
        real, latent = torch.randn_like(latent), latent.detach()
        told = functional.softplus(-discriminator(real)).sum() + functional.softplus(discriminator(latent)).sum()
        yield Loss(player=_DISCRIMINATOR, value=told * (1.0 if self.summed else 1.0 / images), sums=told.detach()[None])

    def figures(self, phase: int, sums: Sequence[float], images: int, pixels: int) -> tuple[float, dict[str, float]]:
        """The loss is the objective's: what a discriminator says depends on how good it is. Its parts are by image."""
        loss, parts = self.objective.figures(sums[:-2], images, pixels)
        return loss, {**parts, "adversarial": sums[-2] / images, _DISCRIMINATOR: sums[-1] / images}


@contextmanager
def _held(network: nn.Module) -> Iterator[None]:
    """Hold the parameters of a network still while a graph through it is built."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _discriminator(latent_dim: int, hidden: Sequence[int]) -> nn.Sequential:
    """[B, D] to a logit [B, 1]: how much a latent looks like one of the prior."""
    layers: list[nn.Module] = []
    before = latent_dim
    for after in hidden:
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        before = after
    return nn.Sequential(*layers, nn.Linear(before, 1))


def _nature(premises: Premises) -> str:
    if premises.latent_kind != "vector":
        return "spatial"
    return "entries of a codebook" if premises.quantises else "bounded"
