"""The optimisers against torch.optim's own classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from aedeploy.training.config import TrainingConfig
from aedeploy.training.optimizers import build_optimizer

THEIRS = {
    "adam": lambda parameters, **given: torch.optim.Adam(parameters, **given),
    "adamw": lambda parameters, **given: torch.optim.AdamW(parameters, **given),
    "sgd": lambda parameters, **given: torch.optim.SGD(parameters, momentum=0.9, **given),
}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_takes_the_steps_that_torch_takes(name: Any, weight_decay: float) -> None:
    ours, theirs = network(), network()
    config = TrainingConfig(optimizer=name, weight_decay=weight_decay)
    optimizer = build_optimizer(dict(ours.named_parameters()), config)
    reference = THEIRS[name](theirs.parameters(), lr=0.05, weight_decay=weight_decay)
    images = torch.randn(5, 3)
    for _ in range(10):
        for model in (ours, theirs):
            model(images).square().sum().backward()
        optimizer.step(0.05)
        reference.step()
        reference.zero_grad()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
        assert mine.grad is None


@pytest.mark.parametrize("name", THEIRS)
def test_its_state_is_all_that_it_remembers(name: Any) -> None:
    model, images = network(), torch.randn(5, 3)
    optimizer = build_optimizer(dict(model.named_parameters()), TrainingConfig(optimizer=name))

    def step() -> None:
        model(images).square().sum().backward()
        optimizer.step(0.05)

    step()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    state = {key: value.clone() for key, value in optimizer.state.items()}
    step()
    expected = [parameter.detach().clone() for parameter in model.parameters()]
    model.load_state_dict(weights)
    optimizer = build_optimizer(dict(model.named_parameters()), TrainingConfig(optimizer=name))
    for key, value in state.items():
        optimizer.state[key].copy_(value)
    step()
    for found, wanted in zip(model.parameters(), expected, strict=True):
        assert torch.equal(found, wanted)
