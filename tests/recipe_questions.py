"""What tests ask of a recipe, and of a bundle that was made by one."""

from __future__ import annotations

from aedeploy.bundle import Bundle
from aedeploy.bundle.manifest import ROLES, Role
from aedeploy.recipes import Recipe, load_recipe


def trains_on_patches(recipe: Recipe) -> bool:
    """Whether it wants a folder of photographs, and not images of one size."""
    return "patches" in recipe.training


def grey_shape(name: str) -> tuple[int, int, int]:
    """Of digits; nearly so, and not square, where the size must be a multiple of 8."""
    return (1, 32, 24) if load_recipe(name).model["backbone"]["name"] == "denoiser" else (1, 28, 28)


def roles_in(bundle: Bundle) -> tuple[Role, ...]:
    """The graphs that its model is cut into."""
    return ROLES if bundle.manifest.latent else ("autoencoder",)
