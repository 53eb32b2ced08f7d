from __future__ import annotations

import numpy as np
import pytest

from aedeploy.images.heatmap import VIRIDIS, colours, levels


def test_the_colours_are_viridis() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    theirs = np.rint(matplotlib.colormaps["viridis"](np.arange(256))[:, :3] * 255)
    assert np.abs(VIRIDIS - theirs).max() <= 2


def test_more_is_always_lighter() -> None:
    luma = VIRIDIS @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luma) > -0.5).all()
    assert luma[255] - luma[0] > 180


def test_levels_go_from_nothing_to_the_top_and_no_further() -> None:
    found = levels(np.array([[0.0, 0.1, 0.2, 0.4]], np.float32), top=0.2)
    assert (found.dtype, found.shape) == (np.uint16, (1, 4, 1))
    assert found[0, :, 0].tolist() == [0, 32768, 65535, 65535]


def test_a_level_is_one_colour_wherever_it_is() -> None:
    picture = colours(np.array([[[0], [65535]], [[0], [32768]]], np.uint16))
    assert (picture.dtype, picture.shape) == (np.uint8, (2, 2, 3))
    assert picture[0, 0].tolist() == picture[1, 0].tolist() == VIRIDIS[0].tolist()
    assert picture[0, 1].tolist() == VIRIDIS[255].tolist()
    assert picture[1, 1].tolist() == VIRIDIS[128].tolist()
