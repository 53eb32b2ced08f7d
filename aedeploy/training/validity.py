"""Recipes that make no sense, refused by name before anything is built or read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch

from aedeploy.config import Config, parse
from aedeploy.errors import BackendError, ConfigError, UnknownNameError
from aedeploy.models.build import BuiltModel, build_model, latent_kind, missing_name, resolve_model
from aedeploy.names import load_named
from aedeploy.recipes import Recipe
from aedeploy.runtime.backends._torch import check_torch_device
from aedeploy.training.config import TrainConfig, TrainingConfig
from aedeploy.training.corruption import Corruptions, build_corruptions
from aedeploy.training.data.source import data_name
from aedeploy.training.memory import available_memory, gibibytes, size_of_weights
from aedeploy.training.methods import METHODS
from aedeploy.training.objective import Objective, build_objective
from aedeploy.training.objectives import Premises

DEVICES = ("auto", "cpu", "cuda", "mps")
_BATCH_NORM = "model.backbone.batch_norm = true needs at least two images in a batch"


@dataclass(frozen=True, kw_only=True)
class CheckedRecipe:
    """A recipe with every default written out, and those of its parts that need no images, made."""

    recipe: Recipe
    objective: Objective
    corruptions: Corruptions
    training: TrainingConfig
    method: Any  # the module that training.method names
    method_config: Config


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
    kind = load_named("aedeploy.models.bottlenecks", bottleneck, "bottleneck").Bottleneck
    premises = Premises(
        output=output,
        normalisation=normalisation,
        bottleneck=bottleneck,
        distribution=kind.distribution,
        latent_range=kind.latent_range,
        quantises=kind.quantises,
        latent_kind=latent_kind(model),
        told=model["backbone"].get("max_sigma") is not None,
    )
    objective = build_objective(recipe.objective, premises)
    corruptions = build_corruptions(recipe.corruption, model["backbone"].get("max_sigma"))
    training = parse(TrainingConfig, recipe.training, "training")
    if model["backbone"].get("batch_norm") and training.batch_size == 1:
        raise ConfigError(f"{_BATCH_NORM}, and training.batch_size is 1: give a larger --batch-size, or leave it out.")
    method, method_config = _method(training)
    method.Method.check(method_config, premises, model["backbone"], objective)
    if model["backbone"].get("skips"):
        _check_skips(model, method_config.name)  # type: ignore[attr-defined]
    if corruptions.told:
        _check_told(method_config.name)  # type: ignore[attr-defined]
    _check_training(training, method_config)
    resolved = replace(
        recipe,
        model=model,
        corruption=corruptions.table,
        objective=objective.table,
        training={**training.model_dump(mode="json"), "method": method_config.model_dump(mode="json")},
    )
    return CheckedRecipe(
        recipe=resolved,
        objective=objective,
        corruptions=corruptions,
        training=training,
        method=method,
        method_config=method_config,
    )


def _check_told(method: str) -> None:
    if method != "joint":
        raise ConfigError(
            f"The method {method!r} does not tell a model how much noise there is, and this backbone needs it: "
            "set training.method.name = 'joint'."
        )


def _check_skips(model: Mapping[str, Any], method: str) -> None:
    """Refuse what would take a part of an image, such as its code, for the whole of it."""
    for key, found, needed in (
        ("training.method.name", method, "joint"),
        ("model.bottleneck.name", model["bottleneck"]["name"], "identity"),
        ("model.normalisation", model["normalisation"], "none"),
        ("model.output", model["output"], "linear"),
    ):
        if found != needed:
            raise ConfigError(
                f"With model.backbone.skips the image itself goes around the bottleneck, so {key} must be {needed!r} "
                f"and not {found!r}: set that, or model.backbone.skips = false."
            )


def _method(training: TrainingConfig) -> tuple[Any, Config]:
    if not isinstance(training.method.get("name"), str):
        raise ConfigError(missing_name("training.method", "method", training.method))
    method = load_named(METHODS, training.method["name"], "training method")
    return method, parse(method.MethodConfig, training.method, "training.method")


def _check_training(training: TrainingConfig, method_config: Config) -> None:
    """Refuse settings that have nothing to act on, and those that leave no room for one another."""
    # Every phase begins with a warm-up.
    shortest = min(training.epochs, getattr(method_config, "layer_epochs", training.epochs))
    if training.warmup_epochs >= shortest:
        raise ConfigError(
            f"training.warmup_epochs = {training.warmup_epochs:g} leaves none of the {shortest} epochs for "
            "training at the full rate: give fewer, or more --epochs."
        )
    if training.accumulate > training.batch_size:
        raise ConfigError(
            f"training.accumulate = {training.accumulate} cuts a batch of {training.batch_size} into more pieces than "
            "it has images: give a larger --batch-size, or fewer."
        )


def check_batches(recipe: CheckedRecipe, images: int) -> None:
    """Refuse a single training image where the model normalises by the statistics of a batch.

    Raises:
        ConfigError: as above.
    """
    if recipe.recipe.model["backbone"].get("batch_norm") and images == 1:
        raise ConfigError(f"{_BATCH_NORM}, and there is one image to train on: give more images, or leave it out.")


def codebook_note(recipe: CheckedRecipe, built: BuiltModel, images: int) -> tuple[str, ...]:
    """A sentence where a batch can never fill the codebook; empty where it can."""
    size = built.module.bottleneck.codebook_size
    batch_size = min(recipe.training.batch_size, images)
    latents = batch_size * prod(built.backbone.latent_shape[1:])
    if size is None or size <= latents:
        return ()
    return (
        f"The codebook has {size:,} entries, and a batch of {batch_size} images fills {latents:,} at the most: a "
        "smaller codebook or a larger --batch-size would waste less of it.",
    )


def check_model_fits(
    recipe: CheckedRecipe, image_shape: tuple[int, int, int], size_option: str = "--image-size"
) -> None:
    """Refuse a model whose weights the memory cannot hold twice, as training does; nothing of their size is made.

    ``size_option``: what sets the size of the images.

    Raises:
        ConfigError: as above, or as :func:`aedeploy.models.build.build_model`.
    """
    _, height, width = image_shape
    latent_dim = recipe.recipe.model["latent_dim"]
    sizes = f"images of {height}×{width} and model.latent_dim = {latent_dim}"
    remedy = f"lower {size_option}, --latent-dim or the sizes in model.backbone"
    try:
        size = size_of_weights(lambda: build_model(recipe.recipe.model, image_shape).module)
    except ConfigError as error:
        # A backbone knows of the usual option alone.
        raise ConfigError(str(error).replace("--image-size", size_option)) from None
    except (RuntimeError, OverflowError, MemoryError, TypeError):
        # Beyond the 64 bits in which PyTorch counts.
        raise ConfigError(f"There can be no model for {sizes}, it would be too large: {remedy}.") from None
    free = available_memory()
    if 2 * size > free:
        raise ConfigError(
            f"A model for {sizes} has {gibibytes(size)} of weights, and training keeps them at least twice in "
            f"{gibibytes(free)} of memory: {remedy}."
        )


def check_names(config: TrainConfig) -> None:
    """Refuse names that are not UTF-8: a manifest, which holds them, is.

    Raises:
        ConfigError: as above.
    """
    named = {
        "--out": (str(config.out), config.out.absolute().name),
        "--data": (config.data.data, data_name(config.data.data)),
        "--variant": (config.recipe.name,),
    }
    for option, names in named.items():
        for name in names:
            try:
                name.encode()
            except UnicodeEncodeError:
                raise ConfigError(f"{option}: the name {name!r} is not valid UTF-8: rename it.") from None


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
