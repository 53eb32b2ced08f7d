"""Recipes so small that a run takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from recipe_questions import trains_on_patches

from aedeploy.errors import ConfigError
from aedeploy.models.build import resolve_model
from aedeploy.recipes import Recipe, load_recipe
from aedeploy.training.config import TrainConfig

Configure = Callable[..., TrainConfig]

#: Of 8×8 images: 27 to train on in batches of 8, so 4 steps an epoch, the last of 3 images; 3 held out.
TINY = [
    "model.latent_dim=2",
    "training.epochs=3",
    "training.batch_size=8",
    "training.lr=0.01",
]


#: Of a recipe that trains on patches: as many of them, of 16×16.
TINY_PATCHES = [
    "model.backbone.channels=[4, 4]",
    "training.patches.size=16",
    "training.patches.count=27",
    "training.patches.shrink=[1, 2]",
]


def tiny_recipe(variant: str = "mlp-32", *overrides: str) -> Recipe:
    """A recipe of the folder, made small; where its latent cannot be, it keeps its own."""
    if trains_on_patches(load_recipe(variant)):
        overrides = (*TINY_PATCHES, *overrides)
    recipe = load_recipe(variant, [*TINY, *overrides])
    try:
        resolve_model(recipe.model)
    except ConfigError:
        recipe = load_recipe(variant, [*TINY[1:], *overrides])
    if recipe.model["backbone"]["name"] == "mlp":
        recipe = replace(recipe, model={**recipe.model, "backbone": {**recipe.model["backbone"], "hidden": [8]}})
    return recipe
