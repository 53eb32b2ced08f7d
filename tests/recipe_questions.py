"""What tests ask of a recipe, and of a bundle that was made by one."""

from __future__ import annotations

from typing import Any

import pytest

from aedeploy.bundle import Bundle
from aedeploy.bundle.manifest import ROLES, Role
from aedeploy.recipes import Recipe, load_recipe, recipe_names


def trains_on_patches(recipe: Recipe) -> bool:
    """Whether it wants a folder of photographs, and not images of one size."""
    return "patches" in recipe.training


def grey_shape(name: str) -> tuple[int, int, int]:
    """Of digits; nearly so, and not square, where the size must be a multiple of 8."""
    return (1, 32, 24) if load_recipe(name).model["backbone"]["name"] == "denoiser" else (1, 28, 28)


def roles_in(bundle: Bundle) -> tuple[Role, ...]:
    """The graphs that its model is cut into."""
    return ROLES if bundle.manifest.latent else ("autoencoder",)


#: Recipes whose graphs have the layers of another one's, in other sizes or with other weights: what sets them apart is
#: how they are trained, which other tests look at. tests/recipes/test_twins.py holds this to account.
TWINS = {
    "mlp-20": "mlp-32",
    "mlp512-2d": "mlp-32",
    "aae": "mlp-32",
    "flexible": "mlp-64",
    "stacked": "mlp-64",
    "beta-vae": "vae",
    "beta-tc-vae": "vae",
    "iwae": "vae",
    "denoising-masked": "ae",
    "rae": "ae",
    "wae-mmd": "ae",
    "denoising-salt-and-pepper": "denoising",
    "sparse-kl": "contractive",
    "denoiser-color": "denoiser-gray",
}


def recipes_to_export() -> list[Any]:
    """Every recipe, also one that is added; twins are with the slow tests, and in docs/parity.md."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in TWINS else name for name in recipe_names()]
