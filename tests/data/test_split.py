from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aedeploy.data.split import MOST_HELD_OUT, held_out_count, held_out_indices, split_images
from aedeploy.errors import ConfigError


@given(st.data(), st.integers(2, 5000))
def test_held_out_positions_are_apart_and_within(data: st.DataObject, images: int) -> None:
    held_out = data.draw(st.integers(1, images - 1))
    positions = held_out_indices(images, held_out)
    assert len(set(positions.tolist())) == held_out
    assert 0 <= positions.min() <= positions.max() < images
    gaps = np.diff(positions)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_nothing_is_lost_and_nothing_is_on_both_sides() -> None:
    images = np.arange(37, dtype=np.uint8).reshape(37, 1, 1, 1)
    split = split_images(images, 0.2)
    assert len(split.held_out) == 7
    assert sorted([*split.train.ravel(), *split.held_out.ravel()]) == list(range(37))


def test_how_many_are_held_out() -> None:
    assert held_out_count(2) == held_out_count(19) == 1
    assert held_out_count(10_000) == 1000
    assert held_out_count(10_000_000) == MOST_HELD_OUT
    assert held_out_count(200, 0.25) == held_out_count(200, 50) == 50


@pytest.mark.parametrize("asked", [1.5, 2.0001, 49.5])
def test_a_part_of_an_image_is_refused(asked: float) -> None:
    with pytest.raises(ConfigError, match=f"--held-out {asked:g} is no number of images: give a whole number, or"):
        held_out_count(100, asked)


@pytest.mark.parametrize(
    ("images", "asked"),
    [(0, None), (1, None), (10, 10), (10, 0), (10, -1), (10, 0.01), (10, 0.99), (10, math.nan), (10, math.inf)],
)
def test_a_side_without_images_is_refused(images: int, asked: float | None) -> None:
    with pytest.raises(ConfigError, match=r"at least 2 images|keep some on both sides"):
        held_out_count(images, asked)
