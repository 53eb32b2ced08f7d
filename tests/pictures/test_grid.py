"""Images in rows and columns: each in its cell, nothing between them, and words beside them."""

from __future__ import annotations

import numpy as np
import pytest

from aedeploy.pictures import LIGHT
from aedeploy.pictures.grid import cell, enlarged, figure_size, sheet, show
from aedeploy.pictures.theme import drawing, new_figure


def some(number: int, shape: tuple[int, int, int]) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (number, *shape), dtype=np.uint8))


@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 9, 3), (40, 64, 4), (3, 2, 1)])
def test_every_image_is_in_its_cell_and_what_is_between_is_transparent(shape: tuple[int, int, int]) -> None:
    one, two, three, four, five = some(5, shape)
    rows = [[one, None, two], [three, four], [None, five]]
    found = sheet(rows)
    left = found.copy()
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            there = cell(found, row, column, shape)
            if image is None:
                assert not there.any()
                continue
            if shape[2] == 4:
                np.testing.assert_array_equal(there, image)
            else:
                np.testing.assert_array_equal(there[..., :3], np.broadcast_to(image, (*shape[:2], 3)))
                assert (there[..., 3] == 255).all()
            cell(left, row, column, shape)[:] = 0
    assert not left.any()


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 96, 3)])
def test_gaps_are_the_same_on_every_side(shape: tuple[int, int, int]) -> None:
    found = sheet([[np.full(shape, 9, np.uint8)] * 2] * 3)
    where = found[..., 3] > 0
    for axis in (0, 1):
        filled = np.flatnonzero(where.any(axis=axis))
        edges = np.diff(np.concatenate([[-1], filled, [where.shape[1 - axis]]]))
        (inner,) = set(edges[edges > 1][1:-1])
        assert {edges[0] - 1, edges[-1] - 1} == {(inner - 1) / 2}


def test_a_cell_is_a_unit_wide_and_high_and_words_are_at_its_middle() -> None:
    with drawing(LIGHT):
        axes = new_figure(3, 3).add_subplot()
        show(axes, [some(3, (8, 4, 1))] * 2, names=["$a$", "b_1"], heads=["x", "y", "z"])
    assert list(axes.images[0].get_extent()) == [0, 3, 2, 0]
    assert axes.get_box_aspect() == pytest.approx(2 * 8 / (3 * 4))
    assert list(axes.get_yticks()) == [0.5, 1.5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["$a$", "b_1"]
    assert not axes.get_yticklabels()[0].get_parse_math()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y", "z"]
    assert axes.xaxis.get_ticks_position() == "top"


def test_feet_are_below() -> None:
    with drawing(LIGHT):
        axes = new_figure(3, 3).add_subplot()
        show(axes, [some(2, (4, 4, 3))], feet=["1", "2"])
    assert axes.xaxis.get_ticks_position() == "bottom"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2"]


@pytest.mark.parametrize(("size", "wanted"), [(64, "none"), (65, "auto")])
def test_pixels_of_small_images_are_squares(size: int, wanted: str) -> None:
    with drawing(LIGHT):
        axes = new_figure(3, 3).add_subplot()
        show(axes, [some(1, (4, size, 1))])
    assert axes.images[0].get_interpolation() == wanted


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 7), (9, 2)])
def test_the_figure_has_the_shape_of_its_images(rows: int, columns: int) -> None:
    width, height = figure_size((20, 10, 3), rows, columns)
    assert height / width == pytest.approx(2 * rows / columns)


def test_enlarged_pixels_are_blocks_of_like_sizes() -> None:
    small = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    large = enlarged(small, (5, 6))
    assert large.shape == (5, 6, 1)
    np.testing.assert_array_equal(large[:, :, 0][[0, -1]], [[0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5]])
    assert [int((large[:, 0, 0] == value).sum()) for value in (0, 3)] == [3, 2]
    np.testing.assert_array_equal(enlarged(small, (2, 3)), small)
