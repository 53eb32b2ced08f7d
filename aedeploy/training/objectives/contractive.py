"""A latent that changes little as the image changes: ‖∂z/∂x‖²_F, the contractive penalty (Rifai et al. 2011)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pydantic import Field
from torch import Tensor, nn

from aedeploy.errors import ConfigError
from aedeploy.models.autoencoder import Autoencoder, TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig
from aedeploy.training.objectives._refusals import refuse_rounded

# What may stand in a trunk that changes no value.
_PASSING_ON = (nn.Sequential, nn.Flatten, nn.Identity)


class TermConfig(WeightedConfig):
    """``estimates``: draws of Hutchinson's estimate for each image. It has no part in the exact form."""

    estimates: int = Field(default=1, ge=1, description="More: less noise, and as many backward passes.")


class Term:
    """Σ over the images of the squared Frobenius norm of the encoder's Jacobian at the model's input.

    x is what the trunk takes: pixels in [0, 1], or standardised ones, of which a step is as many standard deviations.
    z is what the encoder graph gives for it: without dropout, and with batch norm by its running statistics, which
    this does not change.

    Exact where the encoder is one linear layer and the bottleneck's activation: Σ_j act'(a_j)² Σ_i W_ji². Otherwise
    Hutchinson's estimate (1989), E ‖Jᵀv‖² over random signs v, one vector-Jacobian product a draw.
    """

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        refuse_rounded(premises, "contractive")
        if premises.told:
            raise ConfigError(
                "The term 'contractive' is of a latent that is made of the image alone, and this backbone is told how "
                "much noise there is: leave 'contractive' out, or take another model.backbone.name."
            )
        self.bottleneck = premises.bottleneck
        self.estimates = config.estimates

    def __call__(self, taken: TrainingPass) -> Tensor:
        head = _only_layer(taken.model)
        slope_BD = _slope(self.bottleneck, taken.code["latent"].float()) if head is not None else None
        if head is not None and slope_BD is not None:
            return (slope_BD.square() * head.weight.float().square().sum(1)).sum()
        return _estimate(taken.model, taken.input, self.estimates) * taken.samples


def _only_layer(model: Autoencoder) -> nn.Linear | None:
    """The encoder's one linear layer; None if there is more in it."""
    head = getattr(model.bottleneck, "head", None)
    plain = all(isinstance(module, _PASSING_ON) for module in model.trunk.modules())
    return head if plain and isinstance(head, nn.Linear) else None


def _slope(bottleneck: str, latent: Tensor) -> Tensor | None:
    """The derivative of the bottleneck's activation where it gave ``latent``; None if that does not tell it."""
    if bottleneck == "identity":
        return torch.ones_like(latent)
    if bottleneck == "relu":
        return (latent > 0.0).float()
    if bottleneck == "sigmoid":
        return latent * (1.0 - latent)
    return None


def _estimate(model: Autoencoder, image_BCHW: Tensor, estimates: int) -> Tensor:
    """Hutchinson's estimate of Σ ‖∂z/∂x‖²_F over the images, differentiable if gradients are wanted here."""
    wanted = torch.is_grad_enabled()
    if model.normalisation is not None:
        image_BCHW = model.normalisation(image_BCHW)
    # A loss on held-out images is taken without gradients, and this needs them all the same.
    with torch.enable_grad(), _as_exported(model.trunk, model.bottleneck):
        x_BCHW = image_BCHW.detach().requires_grad_()
        latent = model.bottleneck(model.trunk(x_BCHW))["latent"]
        total: Tensor = latent.new_zeros(())
        for _ in range(estimates):
            signs = torch.randint_like(latent, 2) * 2.0 - 1.0
            # No pixel of one image is in another's latent, so the sum's gradient is each image's own product.
            (product,) = torch.autograd.grad((signs * latent).sum(), x_BCHW, create_graph=wanted, retain_graph=True)
            total = total + product.square().sum()
    return total / estimates


@contextmanager
def _as_exported(*parts: nn.Module) -> Iterator[None]:
    """The parts in eval mode: nothing random, and no statistics of a batch, neither used nor updated."""
    before = [(module, module.training) for part in parts for module in part.modules()]
    for part in parts:
        part.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
