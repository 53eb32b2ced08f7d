"""Tiles: they cover an image, overlap as they must, line up, and leave no seam."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aedeploy.images.tiles import BLEND, Tiling, blend, tiles

TILINGS = st.builds(
    lambda margin, step, more: Tiling(
        side=Tiling(side=1, margin=margin, step=step).least_side + more, margin=margin, step=step
    ),
    margin=st.integers(0, 40),
    step=st.sampled_from([1, 2, 4, 8, 12, 64]),
    more=st.integers(0, 300),
)


@given(tiling=TILINGS, length=st.integers(1, 1000))
def test_spans_cover_an_axis_line_up_and_use_nothing_that_a_neighbour_would_change(tiling: Tiling, length: int) -> None:
    spans = tiling.spans(length)
    assert (spans[0].start, spans[0].first, spans[-1].stop, spans[-1].last) == (0, 0, length, length)
    for span in spans:
        assert span.start % tiling.step == 0
        assert span.size <= tiling.side
        assert span.start <= span.first <= span.settled <= span.last <= span.stop
    for before, after in pairwise(spans):
        assert before.stop - after.start >= 2 * tiling.margin + BLEND
        assert after.settled == before.last
        assert before.last - after.first >= BLEND
        assert after.first == after.start + tiling.margin
        assert before.last == before.stop - tiling.margin


@given(tiling=TILINGS, length=st.integers(1, 1000))
def test_no_tile_is_spare(tiling: Tiling, length: int) -> None:
    spans = tiling.spans(length)
    assert len({span.start for span in spans}) == len(spans)
    if len(spans) > 1:
        most = tiling.side // tiling.step * tiling.step
        assert (len(spans) - 1) * (most - tiling.overlap) + tiling.overlap < length


def test_a_tile_that_is_all_overlap_is_refused() -> None:
    tiling = Tiling(side=23, margin=8, step=1)
    assert tiling.least_side == 25
    with pytest.raises(ValueError, match="overlap by 24"):
        tiling.spans(100)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("size", [(31, 200), (97, 65), (128, 33)])
def test_an_image_of_equal_tiles_is_the_image_to_the_last_bit(dtype: type, size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    image = random.random((*size, 3), np.float32) if dtype is np.float32 else random.integers(0, 256, (*size, 3), dtype)
    tiling = Tiling(side=32, margin=3, step=4)
    padded = np.pad(image, ((0, -size[0] % 4), (0, -size[1] % 4), (0, 0)))
    made = np.zeros_like(image)
    for rows, columns in tiles(tiling, *padded.shape[:2]):
        tile = padded[rows.start : rows.stop, columns.start : columns.stop].copy()
        # What a tile may not be used of is wrong.
        tile[: 3 if rows.start else 0] = 99
        tile[:, : 3 if columns.start else 0] = 99
        if rows.stop < padded.shape[0]:
            tile[-3:] = 99
        if columns.stop < padded.shape[1]:
            tile[:, -3:] = 99
        blend(made, tile, rows, columns)
    assert (made == image).all()


def test_tiles_that_differ_pass_into_one_another_without_a_step() -> None:
    tiling = Tiling(side=64, margin=4, step=8)
    made = np.zeros((150, 150, 1), np.float32)
    placed = list(tiles(tiling, 152, 152))
    for number, (rows, columns) in enumerate(placed):
        blend(made, np.full((rows.size, columns.size, 1), number % 2, np.float32), rows, columns)
    assert len(placed) == 9
    assert made.min() == 0
    assert made.max() == 1
    for axis in (0, 1):
        assert np.abs(np.diff(made, axis=axis)).max() <= 1 / BLEND + 1e-6
