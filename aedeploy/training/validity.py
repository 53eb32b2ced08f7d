"""Recipes that make no sense, refused by name before anything is built or read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from aedeploy.config import parse
from aedeploy.errors import BackendError, ConfigError, UnknownNameError
from aedeploy.models.build import resolve_model
from aedeploy.names import load_named
from aedeploy.recipes import Recipe
from aedeploy.runtime.backends.torchscript import check_torch_device
from aedeploy.training.config import TrainingConfig
from aedeploy.training.corruption import Corruptions, build_corruptions
from aedeploy.training.objective import Objective, build_objective
from aedeploy.training.objectives import Premises

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class CheckedRecipe:
    """A recipe with every default written out, and those of its parts that need no images, made."""

    recipe: Recipe
    objective: Objective
    corruptions: Corruptions
    training: TrainingConfig


def check_recipe(recipe: Recipe) -> CheckedRecipe:
    """Read all tables of a recipe, and make what needs no images for it.

    Raises:
        ConfigError: a key is unknown, a value cannot be, or parts do not go together.
        UnknownNameError: there is no such backbone, bottleneck, term or corruption.
    """
    model = resolve_model(recipe.model)
    output, normalisation, bottleneck = model["output"], model["normalisation"], model["bottleneck"]["name"]
    if normalisation == "standard" and output == "sigmoid":
        raise ConfigError(
            "model.output = 'sigmoid' gives values in [0, 1], which cannot follow pixels that model.normalisation = "
            "'standard' has spread around 0: take model.output = 'linear', or model.normalisation = 'none'."
        )
    distribution = load_named("aedeploy.models.bottlenecks", bottleneck, "bottleneck").Bottleneck.distribution
    premises = Premises(output=output, normalisation=normalisation, bottleneck=bottleneck, distribution=distribution)
    objective = build_objective(recipe.objective, premises)
    corruptions = build_corruptions(recipe.corruption)
    training = parse(TrainingConfig, recipe.training, "training")
    resolved = replace(
        recipe,
        model=model,
        corruption=corruptions.table,
        objective=objective.table,
        training=training.model_dump(mode="json"),
    )
    return CheckedRecipe(recipe=resolved, objective=objective, corruptions=corruptions, training=training)


def choose_device(name: str) -> torch.device:
    """The device that was asked for; ``auto``: cuda, else mps, else cpu.

    Raises:
        UnknownNameError: there is no such kind of device.
        BackendError: it is not there.
    """
    if name not in DEVICES:
        raise UnknownNameError("device", name, DEVICES)
    if name != "auto":
        check_torch_device(name)
        return torch.device(name)
    for kind in ("cuda", "mps"):
        try:
            check_torch_device(kind)
        except BackendError:
            continue
        return torch.device(kind)
    return torch.device("cpu")
