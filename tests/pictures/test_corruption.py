"""Corruptions in NumPy: every one that training has, with the same statistics as there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from aedeploy.names import names_in
from aedeploy.pictures.corruption import CORRUPTIONS, corrupted
from aedeploy.training.corruption import CORRUPTIONS as PACKAGE
from aedeploy.training.corruption import build_corruptions

#: Settings of each, by its name.
SETTINGS: dict[str, dict[str, Any]] = {
    "gaussian": {"sigma": 0.3},
    "poisson": {"peak": 12.0},
    "salt-and-pepper": {"share": 0.4},
    "pixel-mask": {"share": 0.3, "value": 0.5},
    "patch-mask": {"share": 0.3, "value": -0.25, "size": 4},
}


def measures(images: np.ndarray, clean: float) -> np.ndarray:
    """Mean, deviation, how many values are clean, 0 or 1, how alike channels are, and how alike neighbours are."""
    changed = (images != np.float32(clean)).astype(np.float64)
    return np.array(
        [
            images.mean(),
            images.std(),
            changed.mean(),
            (images == 0.0).mean(),
            (images == 1.0).mean(),
            (changed[:, 0] == changed[:, 1]).mean(),
            (changed[:, :, :, :4] == changed[:, :, :, :1]).mean(),
            (changed[:, :, 3] == changed[:, :, 4]).mean(),
            (images < 0.0).mean(),
        ]
    )


@pytest.mark.parametrize("name", names_in(PACKAGE))
@pytest.mark.parametrize("clean", [0.5, 0.125])
def test_a_corruption_does_what_it_does_in_training(name: str, clean: float) -> None:
    images = np.full((300, 3, 14, 14), clean, np.float32)
    found, used = corrupted(images, {name: SETTINGS[name]}, None, np.random.default_rng(0))
    assert found.dtype == np.float32
    assert used == {name: SETTINGS[name][CORRUPTIONS[name][0]]}
    torch.manual_seed(0)
    wanted = build_corruptions({name: SETTINGS[name]})(torch.from_numpy(images)).image_BCHW.numpy()
    np.testing.assert_allclose(measures(found, clean), measures(wanted, clean), atol=0.04)
    assert (images == np.float32(clean)).all()  # what was given stays


@pytest.mark.parametrize("name", names_in(PACKAGE))
def test_every_corruption_has_a_strength_and_the_defaults_of_training(name: str) -> None:
    key, said, _ = CORRUPTIONS[name]
    assert said
    resolved = build_corruptions({name: {key: 0.5}}).table[name]
    assert key in resolved
    images = np.random.default_rng(0).random((4, 1, 9, 9), np.float32)
    by_default, _ = corrupted(images, {name: {key: 0.5}}, None, np.random.default_rng(1))
    in_full, _ = corrupted(images, {name: resolved}, None, np.random.default_rng(1))
    np.testing.assert_array_equal(by_default, in_full)


@pytest.mark.parametrize(
    ("strength", "wanted"), [(None, {"gaussian": 0.25, "pixel-mask": 0.5}), (0.1, {"gaussian": 0.1, "pixel-mask": 0.5})]
)
def test_a_strength_is_of_the_first_and_the_middle_of_a_range_else(
    strength: float | None, wanted: dict[str, float]
) -> None:
    table = {"gaussian": {"sigma": [0.1, 0.4]}, "pixel-mask": {"share": 0.5}}
    images = np.full((2, 1, 8, 8), 0.5, np.float32)
    _, used = corrupted(images, table, strength, np.random.default_rng(0))
    assert used == pytest.approx(wanted)


def test_one_follows_the_other() -> None:
    images = np.full((1, 1, 40, 40), 0.5, np.float32)
    found, _ = corrupted(
        images, {"gaussian": {"sigma": 0.1}, "pixel-mask": {"share": 0.5}}, None, np.random.default_rng(0)
    )
    assert 0.45 < (found == 0.0).mean() < 0.55
    assert len(np.unique(found)) > 500


def test_shot_noise_takes_what_is_darker_than_black_for_black() -> None:
    found, _ = corrupted(
        np.full((1, 1, 4, 4), -0.5, np.float32), {"poisson": {"peak": 5.0}}, None, np.random.default_rng(0)
    )
    assert not found.any()
