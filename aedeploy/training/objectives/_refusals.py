"""What several terms cannot do with a model, each in one sentence that names the term and a way out."""

from __future__ import annotations

from aedeploy.errors import ConfigError
from aedeploy.training.objectives import Premises


def need_distribution(premises: Premises, term: str) -> None:
    """Raise a ConfigError where the bottleneck gives a point, and no ``logvar``."""
    if premises.distribution != "gaussian":
        raise ConfigError(
            f"The term {term!r} needs a bottleneck that gives a distribution, and {premises.bottleneck!r} gives a "
            f"point: take model.bottleneck.name = 'gaussian', or leave {term!r} out."
        )


def refuse_rounded(premises: Premises, term: str) -> None:
    """Raise a ConfigError where the latent is an entry of a codebook: no gradient goes through the code's."""
    if premises.quantises:
        raise ConfigError(
            f"The term {term!r} needs a latent that changes smoothly with the image, and {premises.bottleneck!r} "
            f"rounds it: take model.bottleneck.name = 'identity', or leave {term!r} out."
        )


def refuse_standardised(premises: Premises, what: str, otherwise: str) -> None:
    """Raise a ConfigError where the images that a term sees have no range of 1."""
    if premises.normalisation == "standard":
        raise ConfigError(
            f"{what} takes pixels in [0, 1], and model.normalisation is 'standard': "
            f"take model.normalisation = 'none', or {otherwise}."
        )
