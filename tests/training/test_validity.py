from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from recipe_questions import grey_shape

from aedeploy.errors import BackendError, ConfigError, UnknownNameError
from aedeploy.models.build import build_model
from aedeploy.recipes import load_recipe, recipe_names
from aedeploy.training.memory import size_of_weights
from aedeploy.training.validity import check_batches, check_model_fits, check_recipe, choose_device, codebook_note


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_valid_and_complete_when_resolved(name: str) -> None:
    resolved = check_recipe(load_recipe(name)).recipe
    assert check_recipe(resolved).recipe == resolved
    sizes = (
        [grey_shape(name)] if load_recipe(name).model["backbone"]["name"] == "mlp" else [grey_shape(name), (3, 64, 64)]
    )
    for size in sizes:
        torch.manual_seed(0)
        expected = build_model(load_recipe(name).model, size).module.state_dict()
        torch.manual_seed(0)
        found = build_model(resolved.model, size).module.state_dict()
        assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.latent_dim=0", "'model.latent_dim' cannot be 0"),
        ("model.latent_din=3", r"did you mean 'latent_dim'\?"),
        ("model.normalisation=standard", "'sigmoid' gives values in"),
        ("model.backbone.widths=[3]", "'model.backbone.widths' is not a known key"),
        ("model.backbone.hidden=[0]", "'model.backbone.hidden.0' cannot be 0"),
        ("objective.kl.weight=1", "'kl' needs a bottleneck"),
        ("training.epochs=0", "'training.epochs' cannot be 0"),
        ("training.batch_size=0", "'training.batch_size' cannot be 0"),
        ("training.lr=0", "'training.lr' cannot be 0"),
        ("training.lr=nan", "'training.lr' cannot be nan"),
        ("training.grad_clip=0", "'training.grad_clip' cannot be 0"),
        ("training.optimizer=lion", "input should be 'adam', 'adamw' or 'sgd'"),
        ("training.epoch=3", r"did you mean 'epochs'\?"),
        ("training.epochs=true", "'training.epochs' cannot be True"),
        ("model.latent_dim=true", "'model.latent_dim' cannot be True"),
        ("model.backbone.hidden=[true]", "'model.backbone.hidden.0' cannot be True"),
        ("objective.reconstruction.weight=true", "'objective.reconstruction.weight' cannot be True"),
        ("corruption.gaussian.sigma=true", "'corruption.gaussian.sigma' cannot be True"),
    ],
)
def test_nonsense_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_recipe(load_recipe("mlp-32", [override]))


@pytest.mark.parametrize(
    ("override", "nearest"),
    [("model.backbone.name=mpl", "mlp"), ("model.bottleneck.name=gausian", "gaussian")],
)
def test_an_unknown_part_offers_the_nearest(override: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"did you mean '{nearest}'\?"):
        check_recipe(load_recipe("mlp-32", [override]))


def test_an_int_is_a_float_and_a_list_is_a_tuple() -> None:
    recipe = check_recipe(load_recipe("mlp-32", ["training.lr=1", "model.backbone.hidden=[4]"])).recipe
    assert (recipe.training["lr"], recipe.model["backbone"]["hidden"]) == (1.0, [4])


def test_batches_of_one_have_no_statistics() -> None:
    batch_norm = "model.backbone.batch_norm=true"
    with pytest.raises(ConfigError, match=r"batch_norm = true needs .* and training\.batch_size is 1"):
        check_recipe(load_recipe("mlp-32", [batch_norm, "training.batch_size=1"]))
    with pytest.raises(ConfigError, match=r"batch_norm = true needs .* and there is one image to train on"):
        check_batches(check_recipe(load_recipe("mlp-32", [batch_norm])), 1)
    check_batches(check_recipe(load_recipe("mlp-32", [batch_norm])), 2)
    check_batches(check_recipe(load_recipe("mlp-32", ["training.batch_size=1"])), 1)


@pytest.mark.parametrize(
    ("variant", "override", "size"),
    [
        ("mlp-32", "model.latent_dim=100000000000", 8),
        ("mlp-32", "model.latent_dim=1000000000000000000", 8),
        ("mlp-32", "model.latent_dim=100000000000000000000000000000", 8),
        ("ae", "model.backbone.stages=2", 2_000_000),
    ],
)
def test_a_model_that_no_memory_can_hold_is_refused_by_its_size(variant: str, override: str, size: int) -> None:
    recipe = check_recipe(load_recipe(variant, [override]))
    latent_dim = recipe.recipe.model["latent_dim"]
    with pytest.raises(
        ConfigError, match=rf"{size}×{size} and model\.latent_dim = {latent_dim}\b.* lower --image-size"
    ):
        check_model_fits(recipe, (1, size, size))


@pytest.mark.parametrize("name", recipe_names())
def test_the_size_of_weights_is_known_without_them(name: str) -> None:
    recipe = check_recipe(load_recipe(name))
    model = build_model(recipe.recipe.model, grey_shape(name)).module
    expected = sum(parameter.nbytes for parameter in model.parameters())
    assert size_of_weights(lambda: build_model(recipe.recipe.model, grey_shape(name)).module) == expected


def test_a_codebook_that_no_batch_can_fill_is_pointed_out() -> None:
    recipe = check_recipe(load_recipe("vq-vae", ["model.bottleneck.codebook_size=500", "training.batch_size=10"]))
    built = build_model(recipe.recipe.model, (1, 28, 28))
    (note,) = codebook_note(recipe, built, 1000)
    assert "has 500 entries, and a batch of 10 images fills 490 at the most" in note
    (note,) = codebook_note(recipe, built, 4)
    assert "a batch of 4 images fills 196 at the most" in note
    larger = check_recipe(load_recipe("vq-vae", ["model.bottleneck.codebook_size=500", "training.batch_size=11"]))
    assert codebook_note(larger, built, 1000) == ()
    assert codebook_note(recipe, build_model(load_recipe("ae").model, (1, 28, 28)), 1000) == ()


@pytest.mark.parametrize(
    ("variant", "override", "message"),
    [
        ("k-sparse", "model.bottleneck.k=300", r"keeps more entries than the latent has \(model\.latent_dim = 256\)"),
        ("mlp-2d", "objective.reconstruction.loss=bce", "The loss 'bce' takes pixels in"),
        ("ae", "objective.kl.weight=1", "'kl' needs a bottleneck that gives a distribution"),
        ("deep-conv", "model.bottleneck.name=gaussian", "set model.backbone.head = 'conv'"),
    ],
)
def test_combinations_that_make_no_sense_are_refused_before_any_image_is_read(
    variant: str, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_model_fits(check_recipe(load_recipe(variant, [override])), (1, 28, 28))


@pytest.mark.parametrize(
    ("variant", "size", "message"),
    [
        ("deep-conv", 27, "multiples of 4, and 27×27 is not: take --image-size 24 or 28"),
        ("conv", 27, "multiples of 2, and 27×27 is not: take --image-size 26 or 28"),
        ("deep-conv", 4, "too small for 3 stages"),
        ("strided-conv", 30, "take --image-size 28 or 32"),
    ],
)
def test_a_size_that_cannot_be_halved_is_refused_with_the_rule(variant: str, size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_model_fits(check_recipe(load_recipe(variant)), (1, size, size))


def test_a_bottleneck_without_a_name_is_an_error() -> None:
    recipe = load_recipe("mlp-32")
    with pytest.raises(ConfigError, match=r"'model\.bottleneck\.name' is missing"):
        check_recipe(replace(recipe, model={**recipe.model, "bottleneck": {}}))


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UnknownNameError, match=r"did you mean 'cuda'\?"):
        choose_device("cudda")
    for kind, there in {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}.items():
        if not there:
            with pytest.raises(BackendError, match=f"--device {kind}"):
                choose_device(kind)
