"""The contractive penalty against autograd's own Jacobian: its exact form, its estimate, and what it must not touch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_pass import tiny_model
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from aedeploy.models.autoencoder import Autoencoder
from aedeploy.models.build import PixelStatistics, build_model
from aedeploy.training.objectives import Premises
from aedeploy.training.objectives.contractive import Term, TermConfig

ONE_LAYER = {"name": "mlp", "hidden": []}
DEEP = {"name": "mlp", "hidden": [8, 8], "activation": "elu"}
CONV = {"name": "conv", "channels": 2, "stages": 1, "activation": "elu"}
SPATIAL = {**CONV, "latent": "spatial"}


def term(bottleneck: str = "identity", estimates: int = 1) -> Term:
    premises = Premises(output="sigmoid", normalisation="none", bottleneck=bottleneck, distribution="point")
    return Term(TermConfig(estimates=estimates), premises)


def penalty(model: Autoencoder, images: Tensor, bottleneck: str = "identity", **options: int) -> Tensor:
    return term(bottleneck)(model.training_pass(images, images, **options))


def by_autograd(model: Autoencoder, images: Tensor, *, differentiable: bool = False) -> Tensor:
    """Σ ‖∂z/∂x‖²_F, image by image, of the encoder that is exported."""

    def latent(x: Tensor) -> Tensor:
        code: Tensor = model.bottleneck(model.trunk(x))["latent"]
        return code

    x_BCHW = images if model.normalisation is None else model.normalisation(images)
    model.eval()
    found = [jacobian(latent, x[None], create_graph=differentiable).square().sum() for x in x_BCHW]
    model.train()
    return torch.stack(found).sum()


def gradients(value: Tensor, model: Autoencoder) -> list[Tensor]:
    encoder = [*model.trunk.parameters(), *model.bottleneck.parameters()]
    return list(torch.autograd.grad(value, encoder, materialize_grads=True))


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(3, 1, 4, 4)


@pytest.mark.parametrize("bottleneck", ["identity", "relu", "sigmoid"])
def test_one_layer_is_exact(images: Tensor, bottleneck: str) -> None:
    model = tiny_model(bottleneck, latent_dim=5, backbone=ONE_LAYER)
    value = penalty(model, images, bottleneck)
    torch.testing.assert_close(value, by_autograd(model, images))
    wanted = gradients(by_autograd(model, images, differentiable=True), model)
    for found, expected in zip(gradients(value, model), wanted, strict=True):
        torch.testing.assert_close(found, expected)


def test_a_sigmoids_by_hand() -> None:
    """Two pixels, one unit, a = 0: σ' = ¼, so (¼)² (3² + 4²)."""
    model = tiny_model("sigmoid", latent_dim=1, backbone=ONE_LAYER, image_shape=(1, 1, 2))
    head = model.bottleneck.head
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, 4.0]]))
        head.bias.zero_()
    assert penalty(model, torch.zeros(2, 1, 1, 2), "sigmoid").item() == pytest.approx(2 * 25 / 16)


@pytest.mark.parametrize("backbone", [DEEP, CONV, SPATIAL], ids=lambda table: table["name"] + table.get("latent", ""))
def test_the_estimate_is_right_in_the_mean(images: Tensor, backbone: dict[str, Any]) -> None:
    model = tiny_model(latent_dim=4, backbone=backbone)
    value = penalty(model, images.repeat(1000, 1, 1, 1)) / 1000
    torch.testing.assert_close(value, by_autograd(model, images), rtol=0.05, atol=0.0)


@pytest.mark.parametrize("bottleneck", ["identity", "sigmoid"])
def test_of_a_single_number_the_estimate_is_exact_and_so_is_its_gradient(images: Tensor, bottleneck: str) -> None:
    """v² = 1 for a random sign, and there is nothing else in ‖Jᵀv‖²."""
    model = tiny_model(bottleneck, latent_dim=1, backbone=DEEP)
    value = penalty(model, images, bottleneck)
    torch.testing.assert_close(value, by_autograd(model, images))
    wanted = gradients(by_autograd(model, images, differentiable=True), model)
    for found, expected in zip(gradients(value, model), wanted, strict=True):
        torch.testing.assert_close(found, expected)


def test_more_estimates_are_their_mean(images: Tensor) -> None:
    model = tiny_model(latent_dim=4, backbone=DEEP)
    taken = model.training_pass(images, images)
    torch.manual_seed(1)
    single = torch.stack([term()(taken) for _ in range(3)])
    torch.manual_seed(1)
    torch.testing.assert_close(term(estimates=3)(taken), single.mean())
    assert single.std() > 0.0


@pytest.mark.parametrize("backbone", [ONE_LAYER, DEEP], ids=["one layer", "deep"])
def test_it_is_by_what_the_trunk_takes(images: Tensor, backbone: dict[str, Any]) -> None:
    """Standardised pixels: those of half the spread weigh a quarter of what they do in units of [0, 1]."""
    table = {"latent_dim": 1, "backbone": backbone, "bottleneck": {"name": "identity"}, "output": "linear"}
    statistics = PixelStatistics(mean=[0.3], std=[0.5])
    model = build_model({**table, "normalisation": "standard"}, (1, 4, 4), statistics).module
    value = penalty(model, images)
    torch.testing.assert_close(value, by_autograd(model, images))
    in_pixels = sum(jacobian(lambda x: model.encode(x)["latent"], x[None]).square().sum() for x in images)
    torch.testing.assert_close(value, 0.25 * in_pixels)


@pytest.mark.parametrize("backbone", [ONE_LAYER, DEEP], ids=["one layer", "deep"])
def test_without_gradients_it_is_the_same_number(images: Tensor, backbone: dict[str, Any]) -> None:
    model = tiny_model(latent_dim=1, backbone=backbone).eval()
    expected = penalty(model, images)
    with torch.no_grad():
        found = penalty(model, images)
    assert not found.requires_grad
    assert found == expected
    assert all(parameter.grad is None for parameter in model.parameters())


def test_batch_norm_and_dropout_are_those_of_the_exported_encoder(images: Tensor) -> None:
    model = tiny_model(latent_dim=1, backbone={**DEEP, "batch_norm": True, "dropout": 0.5})
    norm = next(module for module in model.trunk.modules() if isinstance(module, nn.BatchNorm1d))
    model.trunk[0].eval()  # type: ignore[index]  # one of its own mode, which must stay
    taken = model.training_pass(images, images)
    statistics, batches = norm.running_mean.clone(), norm.num_batches_tracked.item()
    modes = [module.training for module in model.modules()]
    value = term()(taken)
    assert torch.equal(norm.running_mean, statistics)
    assert norm.num_batches_tracked == batches == 1
    assert [module.training for module in model.modules()] == modes
    assert modes.count(False) == 1
    torch.testing.assert_close(value, by_autograd(model, images))


@pytest.mark.parametrize("backbone", [ONE_LAYER, DEEP], ids=["one layer", "deep"])
def test_several_samples_of_an_image_count_as_so_many_images(images: Tensor, backbone: dict[str, Any]) -> None:
    model = tiny_model(latent_dim=1, backbone=backbone)
    torch.testing.assert_close(penalty(model, images, samples=3), 3 * penalty(model, images))
