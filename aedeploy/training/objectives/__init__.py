"""Objective terms: one module each, with a ``TermConfig`` and a class

    Term(config: TermConfig, premises: Premises)

which refuses, when it is made, a model that it makes no sense for, and which is called with a TrainingPass and gives
its value summed over all images of the batch and all their pixels or latents: a scalar, in float32. What is of a whole
batch, or of the weights, is multiplied by the number of images. What a batch's loss is made of these sums is the
business of ``training/objective.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import Field
from torch import Tensor

from aedeploy.config import Config
from aedeploy.models.autoencoder import TrainingPass


@dataclass(frozen=True, kw_only=True)
class Premises:
    """What a model's recipe says of it, before there is a model."""

    output: Literal["sigmoid", "linear"]
    normalisation: Literal["none", "standard"]
    bottleneck: str
    distribution: Literal["point", "gaussian"]
    latent_range: Literal["any", "nonnegative", "unit"] = "any"
    quantises: bool = False
    latent_kind: Literal["vector", "spatial"] = "vector"
    told: bool = False  # whether the model takes how much noise there is, beside the image


class WeightedConfig(Config):
    """What every term has: the factor by which it enters the loss, and how long that takes to grow to its full size."""

    weight: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    warmup_epochs: float = Field(
        default=0.0, ge=0.0, allow_inf_nan=False, description="The weight rises over them from 0, in a straight line."
    )


class ObjectiveTerm(Protocol):
    """A term, made; see above."""

    def __call__(self, taken: TrainingPass) -> Tensor: ...
