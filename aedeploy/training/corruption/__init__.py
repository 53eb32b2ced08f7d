"""Corruptions: one module each, with a ``CorruptionConfig`` and a class

    Corruption(config: CorruptionConfig)

which is called with float32 images [B, C, H, W] in [0, 1] and gives corrupted ones of that shape. It draws from torch's
global generator, which the loop sets at every step; it exists in training and evaluation, never in an exported graph.
One whose strength is a standard deviation has ``strength(images)``, which draws it for each image, and takes it as a
second argument; it is then known to whoever must be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from aedeploy.config import parse
from aedeploy.errors import ConfigError
from aedeploy.names import load_named
from aedeploy.training.corruption.gaussian import Corruption as Gaussian

CORRUPTIONS = "aedeploy.training.corruption"


class Corruption(Protocol):
    """A corruption, made; see above."""

    def __call__(self, image_BCHW: Tensor) -> Tensor: ...


class Corrupted(NamedTuple):
    """Corrupted images, and how much: float32 [B, 1, H, W] in levels of 255, None where nobody is to be told."""

    image_BCHW: Tensor
    sigma_B1HW: Tensor | None


class Corruptions:
    """All corruptions of a recipe, one after the other; none: images stay as they are."""

    def __init__(self, steps: Sequence[Corruption], table: Mapping[str, Any], *, told: bool = False) -> None:
        self.steps = steps
        self.table = table  # the recipe's, with every default written out
        self.told = told  # whether the model is told how much noise there is

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __call__(self, image_BCHW: Tensor) -> Corrupted:
        if self.told:
            (gaussian,) = self.steps
            assert isinstance(gaussian, Gaussian)
            sigma_B111 = gaussian.strength(image_BCHW)
            return Corrupted(gaussian(image_BCHW, sigma_B111), _map(image_BCHW, 255.0 * sigma_B111))
        for step in self.steps:
            image_BCHW = step(image_BCHW)
        return Corrupted(image_BCHW, None)

    def none_at_all(self, image_BCHW: Tensor) -> Corrupted:
        """Images as they are, and that there is no noise in them."""
        return Corrupted(image_BCHW, _map(image_BCHW, 0.0) if self.told else None)


def _map(image_BCHW: Tensor, sigma: float | Tensor) -> Tensor:
    batch, _, *size = image_BCHW.shape
    return image_BCHW.new_zeros(batch, 1, *size) + sigma


def build_corruptions(table: Mapping[str, Any], max_sigma: float | None = None) -> Corruptions:
    """Read a recipe's [corruption] table; ``max_sigma``: the most noise that the model can be told of, None: of none.

    Raises:
        UnknownNameError: there is no such corruption.
        ConfigError: a key is unknown, a value cannot be, or it is not what the model is to be told of.
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
    if max_sigma is not None:
        _check_told(steps, max_sigma)
    return Corruptions(steps, resolved, told=max_sigma is not None)


def _check_told(steps: Sequence[Corruption], max_sigma: float) -> None:
    if len(steps) != 1 or not isinstance(steps[0], Gaussian):
        raise ConfigError(
            "The backbone is told the standard deviation of the noise, so [corruption.gaussian] must be in the recipe, "
            "and no other corruption beside it."
        )
    if 255.0 * steps[0].most > max_sigma * (1 + 1e-6):
        raise ConfigError(
            f"corruption.gaussian.sigma goes up to {255.0 * steps[0].most:.3g} levels of 255, and "
            f"model.backbone.max_sigma is {max_sigma:g}: raise that one, or lower this."
        )
