from __future__ import annotations

import numpy as np
import pytest
import torch

from aedeploy.models.autoencoder import Autoencoder
from aedeploy.models.build import build_model
from aedeploy.recipes import load_recipe
from aedeploy.training.data.image_set import MemoryImages
from aedeploy.training.distributed import World
from aedeploy.training.measure import method_sums, metrics
from aedeploy.training.methods import Method, Setting
from aedeploy.training.validity import CheckedRecipe, check_recipe

CPU = torch.device("cpu")
VAE = ["model.latent_dim=2", "model.backbone.hidden=[4]"]


def images(count: int) -> MemoryImages:
    return MemoryImages.of(np.random.default_rng(0).integers(0, 256, (count, 6, 6, 1), dtype=np.uint8))


def method_of(model: Autoencoder, recipe: CheckedRecipe) -> Method:
    """The recipe's training method, made for a model."""
    setting = Setting(model=model, forward=model.training_pass, objective=recipe.objective, epochs=1, latent_dim=2)
    method: Method = recipe.method.Method(recipe.method_config, setting)
    return method


@pytest.mark.parametrize("variant", ["vae", "denoising"])
def test_the_noise_is_the_same_every_time(variant: str) -> None:
    overrides = VAE if variant == "vae" else ["model.latent_dim=2"]
    recipe = check_recipe(load_recipe(variant, overrides))
    held_out = MemoryImages.of(np.zeros((5, 8, 8, 1), np.uint8))
    model = build_model(recipe.recipe.model, (1, 8, 8)).module
    sums = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        sums.append(method_sums(model, method_of(model, recipe), 0, recipe.corruptions, held_out, CPU, World()))
    assert sums[0] == sums[1]


def test_every_batch_has_noise_of_its_own() -> None:
    """1,000 small images are a batch: with the same noise in the next, twice as many had twice the loss."""
    recipe = check_recipe(load_recipe("denoising", ["model.latent_dim=2"]))
    model = build_model(recipe.recipe.model, (1, 4, 4)).module
    sums = []
    for count in (1000, 2000):
        held_out = MemoryImages.of(np.zeros((count, 4, 4, 1), np.uint8))
        sums.append(method_sums(model, method_of(model, recipe), 0, recipe.corruptions, held_out, CPU, World())[0])
    assert sums[1] != 2 * sums[0]
    assert sums[1] == pytest.approx(2 * sums[0], rel=0.05)


def test_dropout_is_off_and_training_mode_comes_back() -> None:
    recipe = check_recipe(load_recipe("mlp-32", [*VAE, "model.backbone.dropout=0.5"]))
    model = build_model(recipe.recipe.model, (1, 6, 6)).module.train()
    first, second = (metrics(model, method_of(model, recipe), recipe.corruptions, images(9), CPU) for _ in range(2))
    assert first == second
    assert model.training


def test_a_figure_that_no_float_can_hold_is_null() -> None:
    """The KL of a variance that nothing held down."""
    recipe = load_recipe("vae", VAE)
    recipe = check_recipe(recipe)
    model = build_model(recipe.recipe.model, (1, 6, 6)).module
    with torch.no_grad():
        model.bottleneck.scale.bias.fill_(1000.0)  # type: ignore[union-attr, operator]
    found = metrics(model, method_of(model, recipe), recipe.corruptions, images(3), CPU)
    assert found["kl_nats"] is None
    assert found["mse"] is not None


def test_a_perfect_reconstruction_has_no_psnr() -> None:
    recipe = check_recipe(load_recipe("mlp-32", [*VAE, "model.output=linear", "objective.reconstruction.loss=mse"]))
    model = build_model(recipe.recipe.model, (1, 6, 6)).module
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    found = metrics(
        model, method_of(model, recipe), recipe.corruptions, MemoryImages.of(np.zeros((2, 6, 6, 1), np.uint8)), CPU
    )
    assert found["mse"] == 0.0
    assert found["psnr"] is None
