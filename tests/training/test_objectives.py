"""Each term against values worked out by hand, and against PyTorch's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, distributions

from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objective import build_objective, term_names
from aedeploy.training.objectives import Premises
from aedeploy.training.objectives.kl import kl_to_standard_normal

SIGMOID = Premises(output="sigmoid", normalisation="none", bottleneck="identity", distribution="point")
LINEAR = Premises(output="linear", normalisation="none", bottleneck="identity", distribution="point")
STANDARD = Premises(output="linear", normalisation="standard", bottleneck="identity", distribution="point")
GAUSSIAN = Premises(output="sigmoid", normalisation="none", bottleneck="gaussian", distribution="gaussian")

# Two images of 1×1×3 pixels, and what a linear model made of them: the errors are .5, −1, 0 and 0, 2, −.5.
TARGET = torch.tensor([[0.5, 1.0, 0.0], [1.0, 0.0, 0.5]]).view(2, 1, 1, 3)
OUTPUT = torch.tensor([[1.0, 0.0, 0.0], [1.0, 2.0, 0.0]]).view(2, 1, 1, 3)


def taken(raw: Tensor, target: Tensor, *, sigmoid: bool = False, **code: Tensor) -> TrainingPass:
    return TrainingPass(
        code=code, latent=torch.zeros(len(raw), 1), raw=raw, target=target, activate=torch.sigmoid if sigmoid else _same
    )


def _same(raw: Tensor) -> Tensor:
    return raw


def loss_of(table: Mapping[str, Any], seen: TrainingPass, premises: Premises = LINEAR) -> float:
    return build_objective(table, premises)(seen)[0].item()


@pytest.mark.parametrize(
    ("loss", "summed"),
    [
        ({"loss": "l1"}, 0.5 + 1 + 0 + 0 + 2 + 0.5),
        ({"loss": "mse"}, 0.25 + 1 + 0 + 0 + 4 + 0.25),
        ({"loss": "huber"}, 0.125 + 0.5 + 0 + 0 + 1.5 + 0.125),
        ({"loss": "huber", "delta": 0.5}, 0.125 + 0.375 + 0 + 0 + 0.875 + 0.125),
    ],
)
@pytest.mark.parametrize(("reduction", "share"), [("mean", 6), ("image_sum", 2), ("sum", 1)])
def test_reconstruction_by_hand(loss: dict, summed: float, reduction: str, share: int) -> None:
    table = {"reduction": reduction, "reconstruction": loss}
    assert loss_of(table, taken(OUTPUT, TARGET)) == pytest.approx(summed / share)


def test_bce_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3.0)]).view(1, 1, 1, 2)  # probabilities ½ and ¾
    target = torch.tensor([0.25, 1.0]).view(1, 1, 1, 2)
    expected = math.log(2) + math.log(4 / 3)
    table = {"reduction": "sum", "reconstruction": {"loss": "bce"}}
    assert loss_of(table, taken(logits, target, sigmoid=True), SIGMOID) == pytest.approx(expected)


def test_bce_and_its_gradient_are_finite_for_large_logits() -> None:
    logits = torch.tensor([-200.0, 200.0]).view(1, 1, 1, 2).requires_grad_()
    objective = build_objective({"reduction": "sum", "reconstruction": {"loss": "bce"}}, SIGMOID)
    loss, _ = objective(taken(logits, torch.tensor([1.0, 0.25]).view(1, 1, 1, 2), sigmoid=True))
    assert loss.item() == pytest.approx(200 + 150)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient.flatten(), torch.tensor([-1.0, 0.75]))


def test_kl_by_hand() -> None:
    """μ = 0, σ = 1 is no divergence; μ = 2, σ = 1 is 2 nats; μ = 0, σ² = e is (e − 2) / 2."""
    mean = torch.tensor([0.0, 2.0, 0.0])
    logvar = torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(kl_to_standard_normal(mean, logvar), torch.tensor([0.0, 2.0, (math.e - 2) / 2]))


def test_kl_is_that_of_torch_distributions_and_least_at_the_prior() -> None:
    torch.manual_seed(0)
    mean, logvar = torch.randn(50), torch.randn(50)
    posterior = distributions.Normal(mean, torch.exp(0.5 * logvar))
    expected = distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard_normal(mean, logvar), expected)
    at_prior = torch.zeros(2, requires_grad=True)
    (gradient,) = torch.autograd.grad(kl_to_standard_normal(at_prior[0], at_prior[1]), at_prior)
    torch.testing.assert_close(gradient, torch.zeros(2))


@pytest.mark.parametrize(("reduction", "share"), [("mean", 6), ("image_sum", 2), ("sum", 1)])
def test_an_elbos_proportions_are_the_same_in_every_reduction(reduction: str, share: int) -> None:
    table = {"reduction": reduction, "reconstruction": {"loss": "mse"}, "kl": {"weight": 3.0}}
    seen = taken(OUTPUT, TARGET, latent=torch.tensor([[2.0], [0.0]]), logvar=torch.zeros(2, 1))
    assert loss_of(table, seen, GAUSSIAN) == pytest.approx((5.5 + 3.0 * 2.0) / share)


def test_figures_are_by_pixel_or_by_image_and_parts_unweighted() -> None:
    seen = taken(OUTPUT, TARGET, latent=torch.tensor([[2.0], [0.0]]), logvar=torch.zeros(2, 1))
    for reduction, unit in {"mean": 6, "image_sum": 2, "sum": 2}.items():
        table = {"reduction": reduction, "reconstruction": {"loss": "mse"}, "kl": {"weight": 3.0}}
        objective = build_objective(table, GAUSSIAN)
        loss, parts = objective.figures(objective(seen)[1].tolist(), images=2, pixels=3)
        assert parts == {"reconstruction": pytest.approx(5.5 / unit), "kl": pytest.approx(2.0 / unit)}
        assert loss == pytest.approx((5.5 + 6.0) / unit)


@pytest.mark.parametrize(
    ("table", "premises", "message"),
    [
        ({"reconstruction": {"loss": "mse"}, "kl": {}}, SIGMOID, "'kl' needs a bottleneck that gives a distribution"),
        ({"reconstruction": {"loss": "bce"}}, LINEAR, "model.output is 'linear': take model.output = 'sigmoid'"),
        ({"reconstruction": {"loss": "bce"}}, STANDARD, "model.normalisation is 'standard'"),
        ({"reconstruction": {"loss": "mse", "delta": 1.0}}, LINEAR, "delta belongs to the loss 'huber'"),
        ({"reconstruction": {"loss": "huber", "delta": 0.0}}, LINEAR, "delta' cannot be 0.0"),
        ({"reconstruction": {}}, LINEAR, "'objective.reconstruction.loss' is missing"),
        ({"reconstruction": {"loss": "mes"}}, LINEAR, "'objective.reconstruction.loss' cannot be 'mes'"),
        ({"reconstruction": {"los": "mse"}}, LINEAR, r"did you mean 'loss'\?"),
        ({"reconstruction": 1}, LINEAR, "'objective.reconstruction' must be a table"),
        ({"reconstruction": {"loss": "mse", "weight": math.nan}}, LINEAR, "weight' cannot be nan"),
        ({}, LINEAR, "has no reconstruction term"),
        ({"kl": {}}, GAUSSIAN, "has no reconstruction term"),
        ({"reduction": "max", "reconstruction": {"loss": "mse"}}, LINEAR, "'objective.reduction' cannot be 'max'"),
    ],
)
def test_nonsense_is_refused_by_name(table: dict, premises: Premises, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_objective(table, premises)


@pytest.mark.parametrize(("name", "nearest"), [("reconstuction", "reconstruction"), ("reducton", "reduction")])
def test_an_unknown_term_offers_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"did you mean '{nearest}'\?"):
        build_objective({name: {"loss": "mse"}}, LINEAR)


@pytest.mark.parametrize("name", term_names())
def test_every_term_in_the_folder_gives_one_finite_sum_that_has_a_gradient(name: str) -> None:
    table: dict[str, Any] = {"reduction": "sum", "reconstruction": {"loss": "mse"}}
    table |= {name: {}} if name not in table else {}
    parameters = torch.randn(2, 2, requires_grad=True)
    raw = parameters.sum(1).view(2, 1, 1, 1).expand(2, 1, 1, 3)
    objective = build_objective(table, GAUSSIAN)
    loss, sums = objective(taken(raw, TARGET, sigmoid=True, latent=parameters, logvar=parameters))
    loss.backward()
    assert loss.shape == ()
    assert sums.shape == (len(table) - 1,)
    assert not sums.requires_grad
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()
