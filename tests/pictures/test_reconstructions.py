"""Reconstructions: the right cases in the right cells, and the errors as NumPy finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.reconstructions import cases, pixel_errors

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]
Cells = Callable[..., np.ndarray]


@pytest.mark.parametrize("number", [3, 4, 8, 9, 24, 25, 100])
def test_no_image_is_shown_twice_and_each_case_is_what_it_says(number: int) -> None:
    errors = np.random.default_rng(number).permutation(number).astype(float)
    found = cases(errors, 8)
    each = min(8, number // 3)
    assert {name: len(places) for name, places in found.items()} == {"best": each, "median": each, "worst": each}
    every = [place for places in found.values() for place in places]
    assert len(set(every)) == 3 * each
    assert sorted(errors[found["best"]]) == list(range(each))
    assert sorted(errors[found["worst"]]) == list(range(number - each, number))
    assert abs(np.median(errors[found["median"]]) - np.median(errors)) <= 0.5
    assert (np.diff(errors[every]) > 0).all()


@pytest.mark.parametrize("number", [1, 2])
def test_of_one_or_two_images_all_are_one_case(number: int) -> None:
    assert cases(np.array([0.5, 0.1][:number]), 8) == {"all": [0] if number == 1 else [1, 0]}


def test_an_error_is_the_mean_over_the_channels() -> None:
    one, other = np.zeros((2, 1, 1, 2, 3), np.uint8)
    one[0, 0, 1] = [255, 0, 51]
    other[0, 0, 1] = [0, 51, 0]
    np.testing.assert_allclose(pixel_errors(one, other), [[[0.0, (1.0 + 0.2 + 0.2) / 3]]])
    assert pixel_errors(other, one).max() == pixel_errors(one, other).max()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_column_is_the_image_what_became_of_it_and_its_error(
    subject_of: SubjectOf, images_of: ImagesOf, cells: Cells, low_pass: Any, channels: int
) -> None:
    model = type(low_pass)(channels)
    pixels = images_of(12, channels)
    picture = draw("reconstructions", subject_of(pixels), columns=2)
    again = model.decode(model.encode(pixels))
    errors = np.square(pixels / 255 - np.rint(again) / 255).mean(axis=(1, 2, 3))
    order = np.argsort(errors)
    wanted = {"best": order[:2], "median": order[5:7], "worst": order[-2:]}
    difference = np.abs(pixels / 255 - np.rint(again) / 255).mean(axis=3)
    largest = max(difference[places].max() for places in wanted.values())
    for at, (case, places) in enumerate(wanted.items()):
        shape = (8, 8, channels)
        np.testing.assert_array_equal(cells(picture, 0, 2, shape, axes=at)[..., :channels], pixels[places])
        np.testing.assert_allclose(cells(picture, 1, 2, shape, axes=at)[..., :channels], again[places], atol=0.51)
        coloured = mpl.colormaps["cividis"](difference[places] / largest, bytes=True).astype(int)
        np.testing.assert_allclose(cells(picture, 2, 2, shape, axes=at).astype(int), coloured, atol=8)
        axes = picture.figure.axes[at]
        assert [label.get_text() for label in axes.get_yticklabels()] == [case, "reconstruction", "error"]
        assert [float(label.get_text()) for label in axes.get_xticklabels()] == pytest.approx(errors[places], rel=0.1)
    assert picture.figures["images"] == 12
    for key, value in [("best", errors.min()), ("median", np.median(errors)), ("worst", errors.max())]:
        assert picture.figures[f"mse_{key}"] == pytest.approx(value, rel=0.02)


def test_of_one_image_no_best_and_no_worst_is_told(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    picture = draw("reconstructions", subject_of(images_of(1)))
    assert "worst" not in picture.reading
    assert picture.figure.axes[0].get_yticklabels()[0].get_text() == "original"
