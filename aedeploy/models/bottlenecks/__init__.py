"""Bottlenecks: one module each, with a ``BottleneckConfig`` and a subclass of :class:`Bottleneck` of that name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn

#: ``latent`` first, what the decoder takes; then what else the encoder exports (``logvar``, ``indices``).
Code = dict[str, Tensor]


class Bottleneck(nn.Module, ABC):
    """What stands between encoder and decoder; made as ``Bottleneck(config, new_head)``."""

    #: The names of what ``forward`` gives, ``latent`` first: the encoder graph's outputs.
    outputs: ClassVar[tuple[str, ...]] = ("latent",)
    distribution: ClassVar[Literal["point", "gaussian"]] = "point"

    @abstractmethod
    def forward(self, features: Tensor) -> Code:
        """The code of the trunk's features, deterministically."""

    def sample(self, code: Code) -> Tensor:
        """The latent that the decoder sees in training: the same one, but for a bottleneck that adds noise."""
        return code["latent"]
