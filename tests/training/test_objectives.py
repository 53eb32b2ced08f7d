"""Each term against values worked out by hand, and against PyTorch's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_pass import needed_settings, tiny_model
from tiny_pass import tiny_pass as taken
from torch import distributions

from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.models.autoencoder import Autoencoder, TrainingPass
from aedeploy.names import load_named, names_in
from aedeploy.training.objective import OBJECTIVES, build_objective, term_names
from aedeploy.training.objectives import ObjectiveTerm, Premises
from aedeploy.training.objectives.kl import kl_to_standard_normal

BOTTLENECKS = "aedeploy.models.bottlenecks"

SIGMOID = Premises(output="sigmoid", normalisation="none", bottleneck="identity", distribution="point")
LINEAR = Premises(output="linear", normalisation="none", bottleneck="identity", distribution="point")
STANDARD = Premises(output="linear", normalisation="standard", bottleneck="identity", distribution="point")
GAUSSIAN = Premises(output="sigmoid", normalisation="none", bottleneck="gaussian", distribution="gaussian")
QUANTISED = Premises(output="sigmoid", normalisation="none", bottleneck="vq", distribution="point", quantises=True)

# Two images of 1×1×3 pixels, and what a linear model made of them: the errors are .5, −1, 0 and 0, 2, −.5.
TARGET = torch.tensor([[0.5, 1.0, 0.0], [1.0, 0.0, 0.5]]).view(2, 1, 1, 3)
OUTPUT = torch.tensor([[1.0, 0.0, 0.0], [1.0, 2.0, 0.0]]).view(2, 1, 1, 3)


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


def test_charbonnier_is_an_l1_that_is_smooth_at_0() -> None:
    expected = sum(math.sqrt(error**2 + 1e-6) for error in (0.5, 1, 0, 0, 2, 0.5))
    table = {"reduction": "sum", "reconstruction": {"loss": "charbonnier"}}
    assert loss_of(table, taken(OUTPUT, TARGET)) == pytest.approx(expected)
    output = OUTPUT.clone().requires_grad_()
    loss, _ = build_objective(table, LINEAR)(taken(output, TARGET))
    (gradient,) = torch.autograd.grad(loss, output)
    errors = OUTPUT - TARGET
    torch.testing.assert_close(gradient, errors / (errors.square() + 1e-6).sqrt())
    assert torch.equal(gradient[errors == 0], torch.zeros(2))


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


def test_free_bits_are_of_each_number_of_the_latent_in_the_mean_over_the_batch() -> None:
    """The first number has 2 nats and 0, 1 in the mean; the second none, and so half a nat counts for it."""
    mean = torch.tensor([[2.0, 0.0], [0.0, 0.0]], requires_grad=True)
    logvar = torch.zeros(2, 2, requires_grad=True)
    for free_bits, expected in ((0.0, 2.0), (0.5, 2 * (1.0 + 0.5)), (1.5, 2 * (1.5 + 1.5))):
        table = {"reduction": "sum", "reconstruction": {"loss": "mse"}, "kl": {"free_bits": free_bits}}
        loss, _ = build_objective(table, GAUSSIAN)(taken(TARGET, TARGET, latent=mean, logvar=logvar))
        assert loss.item() == pytest.approx(expected)
        (gradient,) = torch.autograd.grad(loss, mean)
        asked = torch.tensor([[2.0, 0.0], [0.0, 0.0]]) if free_bits < 1.0 else torch.zeros(2, 2)
        torch.testing.assert_close(gradient, asked)


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
        ({"reconstruction": {"loss": "ssim"}}, STANDARD, "loss 'ssim' takes pixels in .0, 1., and model.normalisation"),
        ({"reconstruction": {"loss": "l1"}, "ssim": {}}, STANDARD, "term 'ssim' takes pixels in .0, 1."),
        ({"reconstruction": {"loss": "mse", "delta": 1.0}}, LINEAR, "delta belongs to the loss 'huber'"),
        ({"reconstruction": {"loss": "huber", "delta": 0.0}}, LINEAR, "delta' cannot be 0.0"),
        ({"reconstruction": {"loss": "mse"}, "kl": {"free_bits": -1.0}}, GAUSSIAN, "free_bits' cannot be -1.0"),
        ({"reconstruction": {"loss": "mse"}, "sparsity-kl": {}}, SIGMOID, "'sparsity-kl' needs latents in .0, 1."),
        ({"reconstruction": {"loss": "mse"}, "sparsity-kl": {"target": 1.0}}, SIGMOID, "target' cannot be 1.0"),
        ({"reconstruction": {"loss": "mse"}, "commitment": {}}, SIGMOID, "'commitment' needs a codebook"),
        ({"reconstruction": {"loss": "mse"}, "total-correlation": {}}, SIGMOID, "needs a bottleneck that gives a dist"),
        ({"reconstruction": {"loss": "mse"}, "contractive": {}}, QUANTISED, "changes smoothly .* 'vq' rounds it"),
        ({"reconstruction": {"loss": "mse"}, "sparsity-l1": {}}, QUANTISED, "'sparsity-l1' needs .* 'vq' rounds it"),
        ({"reconstruction": {"loss": "mse"}, "latent-norm": {}}, QUANTISED, "'latent-norm' needs .* 'vq' rounds it"),
        ({"reconstruction": {"loss": "mse"}, "contractive": {"estimates": 0}}, SIGMOID, "estimates' cannot be 0"),
        ({"reconstruction": {"loss": "mse"}, "mmd": {"scales": []}}, SIGMOID, "'objective.mmd.scales' cannot be"),
        ({"reconstruction": {"loss": "mse"}, "mmd": {"scales": [0.0]}}, SIGMOID, "'objective.mmd.scales.0' cannot be"),
        ({"reconstruction": {"loss": "mse"}, "mmd": {"kernel": "gaussian"}}, SIGMOID, "kernel' cannot be 'gaussian'"),
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
class TestEveryTermOfTheFolder:
    def test_gives_one_finite_sum_that_has_a_gradient(self, name: str) -> None:
        term, seen = suited(name)
        value = term(seen)
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert value.isfinite()
        value.backward()
        gradients = [parameter.grad for parameter in seen.model.parameters() if parameter.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.abs().max() > 0.0 for gradient in gradients)

    def test_is_a_sum_over_the_images(self, name: str) -> None:
        """Of the same images twice it is twice as much; what draws at random is looked at in its own test."""
        term, seen = suited(name)
        value = term(seen)
        if value != term(seen):
            pytest.skip("it draws at random")
        torch.testing.assert_close(term(twice(seen)), 2.0 * value)

    def test_can_be_measured_without_gradients_and_on_one_image(self, name: str) -> None:
        term, seen = suited(name)
        model = seen.model.eval()
        with torch.no_grad():
            for images in (seen.input, seen.input[:1]):
                value = term(model.training_pass(images, images))
                assert value.isfinite()
                assert not value.requires_grad
        assert not any(module.training for module in model.modules())

    def test_has_a_weight_and_a_warm_up(self, name: str) -> None:
        term, seen = suited(name)
        objective = build_objective({"reconstruction": {"loss": "l1"}}, LINEAR)
        weighed = replace(objective.terms[0], name=name, term=term, weight=3.0, warmup_epochs=2.0)
        objective.terms, objective.reduction = [weighed], "sum"
        torch.manual_seed(0)
        loss, sums = objective(seen, epoch=1.0)
        assert loss.item() == pytest.approx(1.5 * sums.item())
        assert not sums.requires_grad


def suited(name: str) -> tuple[ObjectiveTerm, TrainingPass]:
    """A term of the folder, made for the first bottleneck that it does not refuse, and a pass through that model."""
    term_module = load_named(OBJECTIVES, name, "objective term")
    config = term_module.TermConfig(**needed_settings(term_module.TermConfig))
    for bottleneck in ("identity", *names_in(BOTTLENECKS)):
        kind = load_named(BOTTLENECKS, bottleneck, "bottleneck").Bottleneck
        premises = Premises(
            output="sigmoid",
            normalisation="none",
            bottleneck=bottleneck,
            distribution=kind.distribution,
            latent_range=kind.latent_range,
            quantises=kind.quantises,
        )
        try:
            term = term_module.Term(config, premises)
        except ConfigError:
            continue
        torch.manual_seed(0)
        images = torch.rand(6, 1, 4, 4)
        return term, model_with(bottleneck).training_pass(images, images)
    raise AssertionError(f"no bottleneck suits {name!r}")


def model_with(bottleneck: str) -> Autoencoder:
    """A tiny model with a bottleneck of the folder, and the first kind and size of latent that it does not refuse."""
    module = load_named(BOTTLENECKS, bottleneck, "bottleneck")
    config = module.BottleneckConfig(**needed_settings(module.BottleneckConfig))
    conv = {"name": "conv", "channels": 2, "stages": 1, "latent": "spatial"}
    for kind, backbone in {"vector": {"name": "mlp", "hidden": [8]}, "spatial": conv}.items():
        for latent_dim in range(2, 9):
            with suppress(ConfigError):
                module.Bottleneck.check(config, latent_dim, kind)
                return tiny_model(config.model_dump(mode="json"), latent_dim=latent_dim, backbone=backbone)
    raise AssertionError(f"no latent suits {bottleneck!r}")


def twice(seen: TrainingPass) -> TrainingPass:
    parts = {name: torch.cat([getattr(seen, name)] * 2) for name in ("input", "latent", "raw", "target")}
    return replace(seen, **parts, code={name: torch.cat([tensor] * 2) for name, tensor in seen.code.items()})
