"""The terms of latents and weights, each against values worked out by hand or by another way."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_pass import latents_pass, tiny_model
from torch import Tensor, distributions

from aedeploy.training.objective import build_objective
from aedeploy.training.objectives import ObjectiveTerm, Premises, total_correlation
from aedeploy.training.objectives.total_correlation import total_correlations

POINT = Premises(output="sigmoid", normalisation="none", bottleneck="identity", distribution="point")
UNIT = Premises(output="sigmoid", normalisation="none", bottleneck="sigmoid", distribution="point", latent_range="unit")
GAUSSIAN = Premises(output="sigmoid", normalisation="none", bottleneck="gaussian", distribution="gaussian")
VQ = Premises(output="sigmoid", normalisation="none", bottleneck="vq", distribution="point", quantises=True)

LATENT = torch.tensor([[1.0, -2.0], [0.0, 0.5]])


def term(name: str, premises: Premises = POINT, **settings: object) -> ObjectiveTerm:
    table = {"reconstruction": {"loss": "mse"}, name: settings}
    return build_objective(table, premises).terms[1].term


def gradient_of(name: str, latent: Tensor, premises: Premises = POINT, **code: Tensor) -> Tensor:
    latent = latent.clone().requires_grad_()
    value = term(name, premises)(latents_pass(latent, **code))
    (gradient,) = torch.autograd.grad(value, latent)
    return gradient


def test_sparsity_l1_by_hand() -> None:
    assert term("sparsity-l1")(latents_pass(LATENT)).item() == 3.5
    assert gradient_of("sparsity-l1", LATENT).tolist() == [[1.0, -1.0], [0.0, 1.0]]


def test_latent_norm_by_hand() -> None:
    assert term("latent-norm")(latents_pass(LATENT)).item() == (1 + 4 + 0.25) / 2
    torch.testing.assert_close(gradient_of("latent-norm", LATENT), LATENT)


def test_sparsity_kl_by_hand() -> None:
    """Unit 0 is on for 0.4 in the mean, unit 1 as much as it should be."""
    latent = torch.tensor([[0.2, 0.05], [0.6, 0.05]])
    expected = 2 * (0.05 * math.log(0.05 / 0.4) + 0.95 * math.log(0.95 / 0.6))
    assert term("sparsity-kl", UNIT)(latents_pass(latent)).item() == pytest.approx(expected, rel=1e-5)
    gradient = gradient_of("sparsity-kl", latent, UNIT)
    assert (gradient[:, 0] > 0.0).all()
    torch.testing.assert_close(gradient[:, 1], torch.zeros(2), rtol=0.0, atol=1e-5)


def test_sparsity_kl_is_that_of_torch_distributions() -> None:
    torch.manual_seed(0)
    latent = torch.rand(4, 3)
    expected = distributions.kl_divergence(distributions.Bernoulli(0.2), distributions.Bernoulli(latent.mean(0)))
    found = term("sparsity-kl", UNIT, target=0.2)(latents_pass(latent))
    torch.testing.assert_close(found, 4 * expected.sum())


def test_a_unit_of_a_spatial_latent_is_a_channel() -> None:
    torch.manual_seed(0)
    latent = torch.rand(4, 3, 2, 5)
    by_position = latent.permute(0, 2, 3, 1).reshape(40, 3)
    found = term("sparsity-kl", UNIT)(latents_pass(latent))
    torch.testing.assert_close(found, term("sparsity-kl", UNIT)(latents_pass(by_position)) / 10)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_unit_that_is_always_off_or_on_is_no_infinity(value: float) -> None:
    latent = torch.full((3, 2), value)
    assert term("sparsity-kl", UNIT)(latents_pass(latent)).isfinite()
    assert gradient_of("sparsity-kl", latent, UNIT).isfinite().all()


def test_decoder_decay_is_of_the_decoder_alone_and_by_image() -> None:
    model = tiny_model(backbone={"name": "mlp", "hidden": [3]})  # 2·3 + 3 and 3·16 + 16 numbers
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.fill_(0.5)
    value = term("decoder-decay")(latents_pass(LATENT, model=model))
    assert value.item() == pytest.approx(2 * 73 * 0.25)
    value.backward()
    assert all((parameter.grad == 2.0).all() for parameter in model.decoder.parameters())
    assert all(parameter.grad is None for parameter in model.bottleneck.parameters())


def test_commitment_moves_the_encoder_to_the_codebook_and_not_back() -> None:
    continuous = torch.tensor([[1.0, 2.0]], requires_grad=True)
    latent = torch.tensor([[1.5, 0.0]], requires_grad=True)
    value = term("commitment", VQ)(latents_pass(latent, continuous=continuous))
    assert value.item() == 0.25 + 4.0
    value.backward()
    assert latent.grad is None
    assert continuous.grad is not None
    assert continuous.grad.tolist() == [[-1.0, 4.0]]


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_by_pairs(kernel: str) -> None:
    seen = latents_pass(LATENT)
    torch.manual_seed(1)
    prior = torch.randn(2, 2)
    torch.manual_seed(1)
    found = term("mmd", kernel=kernel, scales=[0.5, 2.0])(seen)

    def k(one: Tensor, other: Tensor) -> float:
        squared = (one - other).square().sum().item()
        widths = (2 * 2 * 0.5, 2 * 2 * 2.0)
        return sum(w / (w + squared) if kernel == "imq" else math.exp(-squared / w) for w in widths)

    across = sum(k(z, p) for z in LATENT for p in prior) / 4
    expected = 2 * (k(LATENT[0], LATENT[1]) + k(prior[0], prior[1]) - 2 * across)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_mmd_is_none_at_the_prior_and_falls_on_the_way_there() -> None:
    """By image: within four standard errors of 0 for draws of the prior, and well above elsewhere."""
    torch.manual_seed(0)
    mmd = term("mmd")
    at_prior = torch.stack([mmd(latents_pass(torch.randn(50, 4))) for _ in range(200)]) / 50
    assert at_prior.mean().abs() < 4 * at_prior.std() / math.sqrt(200)
    assert at_prior.min() < 0.0 < at_prior.max()
    previous = float(at_prior.max())
    for shift in (0.5, 1.0, 2.0):
        value = mmd(latents_pass(torch.randn(500, 4) + shift)).item() / 500
        assert value > previous
        previous = value
    for spread in (0.3, 2.0):
        assert mmd(latents_pass(spread * torch.randn(500, 4))).item() / 500 > at_prior.max()
    assert gradient_of("mmd", torch.randn(500, 4) + 2.0).mean() > 0.0


def test_mmd_takes_spatial_latents_as_vectors() -> None:
    torch.manual_seed(0)
    latent = torch.randn(6, 2, 3, 3)
    values = []
    for seen in (latents_pass(latent), latents_pass(latent.flatten(1))):
        torch.manual_seed(1)
        values.append(term("mmd")(seen).item())
    assert values[0] == values[1]


def test_mmd_of_one_image_is_its_distance() -> None:
    seen = latents_pass(LATENT[:1])
    torch.manual_seed(1)
    squared = (LATENT[:1] - torch.randn(1, 2)).square().sum().item()
    torch.manual_seed(1)
    found = term("mmd", scales=[1.0])(seen).item()
    assert found == pytest.approx(-2 * 4 / (4 + squared), rel=1e-5)


def test_total_correlation_is_that_of_the_mixtures() -> None:
    torch.manual_seed(0)
    mean, logvar, sample = torch.randn(5, 3), torch.randn(5, 3), torch.randn(5, 3)
    weights = distributions.Categorical(torch.ones(5))
    scale = torch.exp(0.5 * logvar)
    joint = distributions.MixtureSameFamily(
        weights, distributions.Independent(distributions.Normal(mean, scale), 1)
    ).log_prob(sample)
    marginals = [
        distributions.MixtureSameFamily(weights, distributions.Normal(mean[:, j], scale[:, j])).log_prob(sample[:, j])
        for j in range(3)
    ]
    expected = joint - sum(marginals)
    torch.testing.assert_close(total_correlations(sample, mean, logvar), expected)


def test_total_correlation_of_a_correlated_gaussian() -> None:
    """q(z) is gaussian of covariance [[1, r], [r, 1]] + σ²: −½ log(1 − (r / (1 + σ²))²), and 0 for r = 0."""
    torch.manual_seed(0)
    for r in (0.0, 0.9):
        mean = torch.randn(2000, 2) @ torch.linalg.cholesky(torch.tensor([[1.0, r], [r, 1.0]])).T
        logvar = torch.full((2000, 2), math.log(0.25))
        sample = mean + 0.5 * torch.randn(2000, 2)
        expected = -0.5 * math.log(1 - (r / 1.25) ** 2)
        assert total_correlations(sample, mean, logvar).mean().item() == pytest.approx(expected, abs=0.03)


def test_total_correlation_is_summed_over_images_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    latent, logvar = torch.randn(5, 3), torch.zeros(5, 3)
    seen = latents_pass(latent, logvar=logvar)
    expected = total_correlations(latent, latent, logvar).sum()
    torch.testing.assert_close(term("total-correlation", GAUSSIAN)(seen), expected)
    monkeypatch.setattr(total_correlation, "_LARGEST_BLOCK", 1)
    torch.testing.assert_close(term("total-correlation", GAUSSIAN)(seen), expected)
    spatial = latents_pass(latent.view(5, 3, 1, 1), logvar=logvar.view(5, 3, 1, 1))
    torch.testing.assert_close(term("total-correlation", GAUSSIAN)(spatial), expected)


def test_a_lone_image_has_no_total_correlation() -> None:
    seen = latents_pass(LATENT[:1], logvar=torch.zeros(1, 2))
    assert term("total-correlation", GAUSSIAN)(seen).item() == pytest.approx(0.0, abs=1e-6)
