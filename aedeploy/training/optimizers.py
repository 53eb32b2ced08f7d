"""Optimisers.

The functions behind torch.optim's classes are called, not the classes: making one of those imports PyTorch's compiler,
which takes longer than an epoch of a small model. What an optimiser remembers is then plain named tensors, which is
what a checkpoint wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from aedeploy.training.config import TrainingConfig

_MOMENTUM = 0.9


class Optimizer(Protocol):
    """``state`` holds all that it remembers, by name; replacing the tensors' values restores it."""

    state: dict[str, Tensor]

    def step(self, lr: float) -> None:
        """Change the parameters by their gradients, and drop the gradients."""
        ...


def build_optimizer(parameters: Mapping[str, nn.Parameter], config: TrainingConfig) -> Optimizer:
    """The optimiser of a recipe, for the trainable ones of named parameters, which are on their device."""
    named = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    if config.optimizer == "sgd":
        return SGD(named, weight_decay=config.weight_decay)
    return Adam(named, weight_decay=config.weight_decay, decoupled=config.optimizer == "adamw")


class Adam:
    """Adam (Kingma & Ba 2014), or AdamW (Loshchilov & Hutter 2017) where the weight decay is ``decoupled``."""

    def __init__(self, parameters: Mapping[str, Tensor], *, weight_decay: float, decoupled: bool) -> None:
        self.parameters = list(parameters.values())
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        # By parameter, because that is how torch counts; on the parameter's device, because fused kernels want it so.
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]
        self.weight_decay, self.decoupled = weight_decay, decoupled
        self.state = {
            **_named(parameters, "exp_avg", self.means),
            **_named(parameters, "exp_avg_sq", self.squares),
            **_named(parameters, "step", self.steps),
        }

    @torch.no_grad()
    def step(self, lr: float) -> None:
        adam(
            self.parameters,
            _gradients(self.parameters),
            self.means,
            self.squares,
            [],
            self.steps,
            fused=True,
            decoupled_weight_decay=self.decoupled,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=lr,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )


class SGD:
    """Stochastic gradient descent with a momentum of 0.9."""

    def __init__(self, parameters: Mapping[str, Tensor], *, weight_decay: float) -> None:
        self.parameters = list(parameters.values())
        # Zeros, where torch begins with the first gradient: the same steps from the first one on.
        self.momenta: list[Tensor | None] = [torch.zeros_like(p) for p in self.parameters]
        self.weight_decay = weight_decay
        self.state = _named(parameters, "momentum", self.momenta)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        sgd(
            self.parameters,
            _gradients(self.parameters),
            self.momenta,
            foreach=True,
            weight_decay=self.weight_decay,
            momentum=_MOMENTUM,
            lr=lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Taken from the parameters: the next backward pass then stores its gradients in place of adding to these."""
    gradients = []
    for parameter in parameters:
        gradients.append(parameter.grad if parameter.grad is not None else torch.zeros_like(parameter))
        parameter.grad = None
    return gradients


def _named(
    parameters: Iterable[str],
    what: Literal["exp_avg", "exp_avg_sq", "step", "momentum"],
    tensors: Iterable[Tensor | None],
) -> dict[str, Tensor]:
    return {f"{name}/{what}": tensor for name, tensor in zip(parameters, tensors, strict=True) if tensor is not None}
