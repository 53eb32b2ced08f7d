"""Backbones: one module each, with a ``BackboneConfig`` and the functions

    build(config: BackboneConfig, image_shape: tuple[int, int, int], latent_dim: int) -> Backbone
    latent_kind(config: BackboneConfig) -> "vector" or "spatial"

Shape suffixes: B batch, C channels, H height, W width, F features, D latent size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from aedeploy.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """The parts around a bottleneck.

    ``trunk`` takes ``image_BCHW`` to features, ``new_head`` makes a module that takes the features to one tensor
    of the latent's shape (a bottleneck asks for as many as it has parameters), and ``decoder`` takes the latent
    to ``image_BCHW`` before the output activation.

    ``skips``: the trunk gives a tuple, the features and what goes around the bottleneck, which the decoder takes after
    the latent. ``max_sigma``: the trunk's image has one channel more, how much noise there is in each pixel, as a share
    of that many levels of 255.
    """

    trunk: nn.Module
    new_head: Callable[[], nn.Module]
    decoder: nn.Module
    latent_shape: tuple[int, ...]  # at the training size: (D,) or (D, H, W)
    multiple_of: int = 1
    minimum: int = 1
    dynamic_size: bool = False
    skips: bool = False
    max_sigma: float | None = None


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "elu": nn.ELU,
}


def one_identity_head(why: str, remedy: str) -> Callable[[], nn.Module]:
    """A ``new_head`` of a backbone whose features are the latent itself, for bottlenecks that ask for it once.

    Raises, on the second call:
        ConfigError: ``why`` says where the latent comes from and ``remedy`` what could be done.
    """
    asked = 0

    def only_one() -> nn.Module:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise ConfigError(f"{why}, and this bottleneck needs two parameters for it: {remedy}.")
        return nn.Identity()

    return only_one


def check_size(backbone: str, height: int, width: int, rule: int, why: str, remedy: str) -> None:
    """Refuse a height or width that is no multiple of ``rule``, with the sizes that would be.

    Raises:
        ConfigError: as above; ``why`` says what the rule comes from and ``remedy`` what else could be done.
    """
    if height % rule == width % rule == 0:
        return
    below, above = (max(height, width) // rule * rule, (max(height, width) // rule + 1) * rule)
    raise ConfigError(
        f"The backbone {backbone!r} {why} needs height and width to be multiples of {rule}, and {height}×{width} is "
        f"not: take --image-size {f'{below} or {above}' if below else above}, or {remedy}."
    )
