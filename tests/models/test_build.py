"""From a table to a model, from a bundle back to it, and refusals that say what would do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from aedeploy.bundle import SCHEMA_VERSION, Bundle, Manifest, Provenance
from aedeploy.bundle.store import record_file
from aedeploy.errors import ConfigError, IntegrityError, UnknownNameError
from aedeploy.models.build import PixelStatistics, build_model
from aedeploy.models.load import load_model
from aedeploy.recipes import load_recipe

MLP = {"latent_dim": 2, "backbone": {"name": "mlp", "hidden": [8]}, "bottleneck": {"name": "identity"}}


def table(**changes: Any) -> dict[str, Any]:
    return {**MLP, **changes}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (table(latent_dim=0), "'model.latent_dim' cannot be 0"),
        (table(latent_dim=-3), "'model.latent_dim' cannot be -3"),
        (table(latent_din=3), r"'model.latent_din' is not a known key \(did you mean 'latent_dim'\?\)"),
        (table(output="tanh"), "'model.output' cannot be 'tanh'"),
        (table(backbone={}), "'model.backbone.name' is missing"),
        (table(backbone={"name": "mlp", "hiden": [8]}), r"did you mean 'hidden'"),
        (table(backbone={"name": "mlp", "hidden": [0]}), "'model.backbone.hidden.0' cannot be 0"),
        (table(backbone={"name": "mlp", "dropout": 1.0}), "'model.backbone.dropout' cannot be 1.0"),
        (table(bottleneck={"name": "identity", "beta": 1}), "'model.bottleneck.beta' is not a known key"),
        ({}, "is missing"),
    ],
)
def test_a_table_that_cannot_be_is_a_sentence(model: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        build_model(model, (1, 28, 28))


@pytest.mark.parametrize(
    ("part", "name", "nearest"), [("backbone", "cnov", "conv"), ("bottleneck", "gausian", "gaussian")]
)
def test_an_unknown_part_comes_with_the_nearest(part: str, name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"There is no {part} '{name}' .did you mean '{nearest}'"):
        build_model(table(**{part: {"name": name}}), (1, 28, 28))


@pytest.mark.parametrize(
    ("height", "width", "stages", "valid"),
    [(30, 30, 2, "28 or 32"), (28, 30, 2, "28 or 32"), (3, 3, 2, "4"), (100, 100, 3, "96 or 104")],
)
def test_a_size_against_the_rule_is_refused_with_the_sizes_that_are_not(
    height: int, width: int, stages: int, valid: str
) -> None:
    conv = table(backbone={"name": "conv", "stages": stages})
    with pytest.raises(
        ConfigError, match=f"multiples of {2**stages}, and {height}×{width} is not: take --image-size {valid},"
    ):
        build_model(conv, (1, height, width))
    for size in valid.split(" or "):
        assert build_model(conv, (1, int(size), int(size))).image.height == int(size)


def test_any_size_of_the_rule_is_taken_not_only_squares() -> None:
    built = build_model(table(backbone={"name": "conv", "latent": "vector"}), (3, 32, 48))
    with torch.inference_mode():
        assert built.module(torch.rand(2, 3, 32, 48)).shape == (2, 3, 32, 48)


def test_a_spatial_latent_names_its_dynamic_sizes() -> None:
    built = build_model(table(backbone={"name": "conv", "latent": "spatial", "stages": 2}), (1, 28, 28))
    assert built.latent.shape == (2, "latent_height", "latent_width")
    assert built.backbone.latent_shape == (2, 7, 7)


def test_standardised_models_take_and_give_plain_pixels() -> None:
    statistics = PixelStatistics(mean=[0.1307], std=[0.3081])
    module = build_model(table(normalisation="standard", output="linear"), (1, 4, 4), statistics).module.eval()
    image = torch.rand(3, 1, 4, 4)
    step = module.training_pass(image, image)
    torch.testing.assert_close(step.target, (image - 0.1307) / 0.3081)
    with torch.inference_mode():
        torch.testing.assert_close(module(image), (step.output * 0.3081 + 0.1307).clamp(0, 1))
    assert {"normalisation.mean", "normalisation.std"} <= set(module.state_dict())


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[[dict[str, torch.Tensor]], Bundle]:
    """Write a bundle of ``mlp-32`` with these weights."""

    def save(weights: dict[str, torch.Tensor]) -> Bundle:
        save_file(weights, tmp_path / "weights.safetensors")
        recipe = load_recipe("mlp-32")
        built = build_model(recipe.model, (1, 28, 28))
        record = record_file(tmp_path, "weights.safetensors")
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            name="test",
            recipe=recipe.as_dict(),
            image=built.image,
            latent=built.latent,
            weights=record,
            golden=record,
            metrics={},
            provenance=Provenance(created="2026-01-01", packages={}, platform="Linux", seed=0, data=None),
        )
        return Bundle(tmp_path, manifest)

    return save


def test_a_model_comes_back_from_its_bundle(save_model: Callable[[dict[str, torch.Tensor]], Bundle]) -> None:
    module = build_model(load_recipe("mlp-32").model, (1, 28, 28)).module.eval()
    loaded = load_model(save_model(module.state_dict())).module
    image = torch.rand(3, 1, 28, 28)
    assert not loaded.training
    with torch.inference_mode():
        assert torch.equal(loaded(image), module(image))


def test_weights_of_another_model_are_refused(save_model: Callable[[dict[str, torch.Tensor]], Bundle]) -> None:
    other = build_model(load_recipe("vae").model, (1, 28, 28)).module
    with pytest.raises(IntegrityError, match=r"weights\.safetensors of bundle 'test' does not fit the model"):
        load_model(save_model(other.state_dict()))


def test_altered_weights_are_refused(save_model: Callable[[dict[str, torch.Tensor]], Bundle]) -> None:
    bundle = save_model(build_model(load_recipe("mlp-32").model, (1, 28, 28)).module.state_dict())
    path = bundle.path / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="was altered"):
        load_model(bundle)
