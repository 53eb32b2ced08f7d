"""The gaussian bottleneck samples what its mean and log-variance say, in training only."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from aedeploy.models.bottlenecks.gaussian import Bottleneck, BottleneckConfig


def bottleneck() -> Bottleneck:
    return Bottleneck(BottleneckConfig(), lambda: nn.Linear(3, 2))


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (2.0, 0.5), (-1.0, 3.0)])
def test_samples_have_the_mean_and_the_scale_asked_for(mean: float, scale: float) -> None:
    torch.manual_seed(0)
    shape = (200_000, 2)
    code = {"latent": torch.full(shape, mean), "logvar": torch.full(shape, 2 * math.log(scale))}
    sample = bottleneck().sample(code)
    # Five standard errors of each: 1 / sqrt(200,000) of the scale for the mean, 1 / sqrt(400,000) for the scale.
    assert (sample.mean(0) - mean).abs().max().item() < 5 * scale / math.sqrt(200_000)
    assert (sample.std(0) - scale).abs().max().item() < 5 * scale / math.sqrt(400_000)
    correlation = torch.corrcoef(sample.T)[0, 1].item()
    assert abs(correlation) < 5 / math.sqrt(200_000)


def test_the_code_is_deterministic_and_the_sample_is_not() -> None:
    module, features = bottleneck(), torch.rand(4, 3)
    code, again = module(features), module(features)
    assert list(code) == ["latent", "logvar"] == list(module.outputs)
    assert torch.equal(code["latent"], again["latent"])
    assert not torch.equal(module.sample(code), module.sample(code))


def test_gradients_reach_both_heads_through_a_sample() -> None:
    module = bottleneck()
    module.sample(module(torch.rand(4, 3))).square().sum().backward()
    for head in (module.mean, module.logvar):
        assert head.weight.grad is not None
        assert head.weight.grad.abs().sum() > 0
