"""Recipes whose graphs are taken for those of another one."""

from __future__ import annotations

from typing import Any

import pytest
from recipe_questions import TWINS, grey_shape

from aedeploy.models.build import build_model
from aedeploy.recipes import load_recipe


def kind(name: str) -> tuple[Any, ...]:
    """What a graph of a recipe has: its layers, whatever their number and size, and all that is around them."""
    recipe = load_recipe(name)
    built = build_model(recipe.model, grey_shape(name))
    layers = {type(layer).__name__ for layer in built.module.modules()}
    bottleneck = dict(recipe.model["bottleneck"])
    latent = built.latent and (built.latent.kind, built.latent.distribution, built.latent.codebook_size)
    model = recipe.model
    return layers, bottleneck, model["output"], model.get("normalisation", "none"), built.image.dynamic_size, latent


@pytest.mark.parametrize(("name", "other"), TWINS.items())
def test_its_graphs_have_the_layers_of_the_other(name: str, other: str) -> None:
    assert other not in TWINS
    assert kind(name) == kind(other)
