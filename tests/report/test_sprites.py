"""Sheets of small images: within what a browser reads."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from aedeploy.pictures.picture import HoverPoints
from aedeploy.report.sprites import MOST_POINTS, data_uri, of_points


def hover(count: int) -> HoverPoints:
    from matplotlib.figure import Figure

    points = np.stack([np.arange(count), np.arange(count)], axis=1).astype(float)
    images = np.zeros((count, 2, 2, 1), np.uint8)
    images[-1] = 255
    names = [f"image {at}" for at in range(count)]
    return HoverPoints(axes=Figure().add_subplot(), points=points, images=images, names=names)


def test_of_very_many_points_some_answer_from_the_first_to_the_last() -> None:
    total = 3 * MOST_POINTS
    given = hover(total)
    found = of_points(given)
    numbers = found["numbers"]
    assert found["of"] == total
    assert len(numbers) == len(found["points"]) == len(found["names"]) == MOST_POINTS
    assert (numbers[0], numbers[-1]) == (0, total - 1)
    assert set(np.diff(numbers)) <= {3, 4}
    assert found["names"] == [f"image {at}" for at in numbers]
    assert found["points"][7] == [round(float(at), 5) for at in given.places()[numbers[7]]]
    assert found["sheet"]["columns"] * found["sheet"]["rows"] < MOST_POINTS + 64


def test_of_few_all_answer() -> None:
    found = of_points(hover(5))
    assert found["numbers"] == [0, 1, 2, 3, 4]
    assert found["of"] == 5


def test_a_sheet_that_is_too_long_for_webp_is_none() -> None:
    assert data_uri(np.zeros((64, 16_384, 1), np.uint8)).startswith("data:image/png")
