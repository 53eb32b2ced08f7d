"""Bottlenecks: one module each, with a ``BottleneckConfig`` and a subclass of :class:`Bottleneck` of that name.

A latent is a vector [B, D] or spatial [B, D, H, W]; its second axis has ``model.latent_dim`` entries either way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

#: ``latent`` first, what the decoder takes; then what else the encoder exports (``logvar``, ``indices``). In training
#: there may be more in it, for the objective: a quantising bottleneck adds ``continuous``, the latent before rounding.
Code = dict[str, Tensor]

LatentKind = Literal["vector", "spatial"]


def at_least_float32(values: Tensor) -> Tensor:
    """What autocast made less precise, in float32 again; float64, in which exports are judged, stays."""
    return values if values.dtype == torch.float64 else values.float()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be said of the choices in somebody else's code of the same features."""

    #: How much worse each choice is than the best one, relative to the numbers it was made by: [B, *places] of indices,
    #: [B, D, *places] of entries kept or left out; 0 where the choice is the best one, infinite where there is no such.
    gap: Tensor
    latent: Tensor  # what those choices make of the features


class Bottleneck(nn.Module, ABC):
    """What stands between encoder and decoder; made as ``Bottleneck(config, new_head, latent_dim)``."""

    #: The names of what ``forward`` gives, ``latent`` first: the encoder graph's outputs.
    outputs: ClassVar[tuple[str, ...]] = ("latent",)
    distribution: ClassVar[Literal["point", "gaussian"]] = "point"
    #: Where latents can lie: anywhere, from 0 on, or in [0, 1].
    latent_range: ClassVar[Literal["any", "nonnegative", "unit"]] = "any"
    #: Whether latents are entries of a codebook; then ``training_code`` gives ``continuous``.
    quantises: ClassVar[bool] = False
    #: Whether all but some entries of a latent are set to 0, by a choice among them.
    masks: ClassVar[bool] = False

    @classmethod
    def check(cls, config: Any, latent_dim: int, kind: LatentKind) -> None:
        """Raise a ConfigError where ``config`` makes no sense for such a latent; nothing is built yet."""

    @property
    def codebook_size(self) -> int | None:
        """How many entries the codebook has; None without one."""
        return None

    @abstractmethod
    def forward(self, features: Tensor) -> Code:
        """The code of the trunk's features, deterministically: what is exported."""

    def verdict(self, features: Tensor, code: Code) -> Verdict | None:
        """How good the choices in ``code`` are, where the bottleneck makes any: which code, which entries are kept."""
        return None

    def training_code(self, features: Tensor) -> Code:
        """The code in a training pass: the same one, but for a bottleneck that learns from a batch in its own way."""
        return self(features)  # type: ignore[no-any-return]

    def sample(self, code: Code) -> Tensor:
        """The latent that the decoder sees in training: the same one, but for a bottleneck that adds noise."""
        return code["latent"]
