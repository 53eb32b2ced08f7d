"""A moving average of the weights over the steps (Polyak & Juditsky 1992), which is often better than the last ones."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of a model's parameters; its buffers, such as batch statistics, are averages already.

    ``decay`` is reached in the course of training: min(decay, (1 + step) / (10 + step)), so that what the weights were
    at the very start does not weigh for long.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = dict(model.named_parameters())
        self.state = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after the step ``step`` (from 0) into account."""
        share = 1.0 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.state.values()), list(self.parameters.values()), share)

    def restart(self) -> None:
        """Begin anew, from the weights as they are."""
        for name, parameter in self.parameters.items():
            self.state[name].copy_(parameter.detach())

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the average for its weights while the block runs."""
        own = copy.deepcopy({name: parameter.data for name, parameter in self.parameters.items()})
        self._put(self.state)
        try:
            yield
        finally:
            self._put(own)

    def _put(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(values[name])
