from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.training.corruption import build_corruptions

GREY = torch.full((64, 1, 32, 32), 0.5)


def test_gaussian_noise_has_the_mean_and_the_spread_that_it_says() -> None:
    torch.manual_seed(0)
    noise = build_corruptions({"gaussian": {"sigma": 0.2}})(GREY) - GREY
    assert noise.mean().item() == pytest.approx(0.0, abs=4 * 0.2 / math.sqrt(noise.numel()))
    assert noise.std().item() == pytest.approx(0.2, rel=0.01)
    kurtosis = (noise / noise.std()).pow(4).mean().item()
    assert kurtosis == pytest.approx(3.0, abs=0.1)


def test_a_range_is_drawn_for_each_image_and_used_to_its_ends() -> None:
    torch.manual_seed(0)
    corrupted = build_corruptions({"gaussian": {"sigma": [0.1, 0.5]}})(GREY.repeat(8, 1, 1, 1))
    sigmas = (corrupted - 0.5).flatten(1).std(1)
    assert sigmas.min().item() == pytest.approx(0.1, abs=0.02)
    assert sigmas.max().item() == pytest.approx(0.5, abs=0.03)
    assert sigmas.mean().item() == pytest.approx(0.3, abs=0.03)


def test_noise_goes_beyond_black_and_white() -> None:
    torch.manual_seed(0)
    corrupted = build_corruptions({"gaussian": {"sigma": 0.1}})(torch.zeros(1, 1, 8, 8))
    assert corrupted.min() < 0.0


def test_no_corruption_is_false_and_changes_nothing() -> None:
    none = build_corruptions({})
    assert not none
    assert none(GREY) is GREY
    assert build_corruptions({"gaussian": {"sigma": 0.1}})


def test_the_resolved_table_makes_the_same() -> None:
    for sigma in (0.3, [0.0, 0.5]):
        table = build_corruptions({"gaussian": {"sigma": sigma}}).table
        assert build_corruptions(table).table == table == {"gaussian": {"sigma": sigma}}


@pytest.mark.parametrize("sigma", [-0.1, [0.5, 0.1], [0.1], [0.1, 0.2, 0.3], "much", math.nan, math.inf, [0, math.nan]])
def test_an_impossible_sigma_is_refused(sigma: Any) -> None:
    with pytest.raises(ConfigError, match=r"'corruption.gaussian.sigma' cannot be .* range"):
        build_corruptions({"gaussian": {"sigma": sigma}})


def test_unknown_names_and_keys_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'gaussian'\?"):
        build_corruptions({"gausian": {"sigma": 0.1}})
    with pytest.raises(ConfigError, match=r"did you mean 'sigma'\?"):
        build_corruptions({"gaussian": {"sigme": 0.1}})
    with pytest.raises(ConfigError, match="must be a table"):
        build_corruptions({"gaussian": 0.1})
