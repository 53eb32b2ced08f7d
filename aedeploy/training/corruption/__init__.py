"""Corruptions: one module each, with a ``CorruptionConfig`` and a class

    Corruption(config: CorruptionConfig)

which is called with float32 images [B, C, H, W] in [0, 1] and gives corrupted ones of that shape. It draws from torch's
global generator, which the loop sets at every step; it exists in training and evaluation, never in an exported graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from aedeploy.config import parse
from aedeploy.errors import ConfigError
from aedeploy.names import load_named

CORRUPTIONS = "aedeploy.training.corruption"


class Corruption(Protocol):
    """A corruption, made; see above."""

    def __call__(self, image_BCHW: Tensor) -> Tensor: ...


class Corruptions:
    """All corruptions of a recipe, one after the other; none: images stay as they are."""

    def __init__(self, steps: Sequence[Corruption], table: Mapping[str, Any]) -> None:
        self.steps = steps
        self.table = table  # the recipe's, with every default written out

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __call__(self, image_BCHW: Tensor) -> Tensor:
        for step in self.steps:
            image_BCHW = step(image_BCHW)
        return image_BCHW


def build_corruptions(table: Mapping[str, Any]) -> Corruptions:
    """Read a recipe's [corruption] table.

    Raises:
        UnknownNameError: there is no such corruption.
        ConfigError: a key is unknown or a value cannot be.
    """
    steps: list[Corruption] = []
    resolved = {}
    for name, values in table.items():
        module = load_named(CORRUPTIONS, name, "corruption")
        if not isinstance(values, Mapping):
            raise ConfigError(f"'corruption.{name}' must be a table of its settings, and is {values!r}.")
        config = parse(module.CorruptionConfig, values, f"corruption.{name}")
        steps.append(module.Corruption(config))
        resolved[name] = config.model_dump(mode="json")
    return Corruptions(steps, resolved)
