"""The manifold: a grid of a latent of two numbers, decoded cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from aedeploy.errors import PictureError
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.manifold import data_steps, grid, prior_steps

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]
Cells = Callable[..., np.ndarray]


@pytest.mark.parametrize("side", [2, 5, 16])
def test_between_two_steps_of_the_prior_there_is_the_same_share(side: int) -> None:
    steps = prior_steps(side)
    shares = [NormalDist().cdf(value) for value in steps]
    np.testing.assert_allclose(np.diff(shares), 1 / side)
    assert shares[0] == pytest.approx(0.5 / side)
    np.testing.assert_allclose(steps, -steps[::-1], atol=1e-12)


def test_steps_over_data_are_even_and_leave_out_the_farthest() -> None:
    values = np.concatenate([np.linspace(0, 100, 101), [1e6] * 1, [-1e6] * 1]).astype(np.float32)
    steps = data_steps(values, 5)
    np.testing.assert_allclose(np.diff(steps), np.diff(steps)[0])
    assert 0 <= steps[0] < 1.5
    assert 98.5 < steps[-1] <= 100


def test_a_grid_begins_at_the_upper_left() -> None:
    found = grid(np.array([1.0, 2.0]), np.array([10.0, 20.0, 30.0]))
    np.testing.assert_array_equal(found, [[1, 30], [2, 30], [1, 20], [2, 20], [1, 10], [2, 10]])


@pytest.fixture
def plane_of(subject_of: SubjectOf, images_of: ImagesOf) -> Callable[..., Subject]:
    """A subject whose first two numbers are its latent: the mean and a slope; decoded by NumPy as by its graph."""

    def make(number: int, **options: Any) -> Subject:
        subject = subject_of(images_of(number), **options)
        found = subject.code["latent"][:, :2]
        decode = subject.codec.decode
        subject.__dict__["code"] = {"latent": np.ascontiguousarray(found)}
        subject.codec.decode = lambda latents: decode(np.pad(latents, ((0, 0), (0, 14))))  # type: ignore[method-assign]
        return subject

    return make


def test_each_cell_is_decoded_from_its_place(plane_of: Callable[..., Subject], cells: Cells, low_pass: Any) -> None:
    subject = plane_of(30)
    picture = draw("manifold", subject, side=4)
    across, up = np.array(picture.figures["across"]), np.array(picture.figures["up"])
    np.testing.assert_allclose(across, data_steps(subject.flat[:, 0], 4))
    np.testing.assert_allclose(up, data_steps(subject.flat[:, 1], 4))
    assert picture.figures["over"] == "data"
    for row in range(4):
        latents = np.zeros((4, 16))
        latents[:, 0], latents[:, 1] = across, up[3 - row]
        np.testing.assert_allclose(cells(picture, row, 4, (8, 8, 1))[..., :1], low_pass.decode(latents), atol=0.51)
    axes = picture.figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"{value:.2f}" for value in across]
    # The highest is above, at the first row, which is at 0.5.
    assert dict(zip(axes.get_yticks(), [t.get_text() for t in axes.get_yticklabels()], strict=True))[0.5] == (
        f"{up[-1]:.2f}"
    )


def test_under_a_prior_it_is_over_the_quantiles(plane_of: Callable[..., Subject], prior: dict[str, Any]) -> None:
    picture = draw("manifold", plane_of(1, recipe=prior), side=3)  # one image is enough: its latent is not asked
    np.testing.assert_allclose(picture.figures["across"], prior_steps(3))
    assert picture.figures["over"] == "prior"
    assert "quantiles of N(0, 1)" in picture.reading


def test_what_has_no_plane_is_refused(
    subject_of: SubjectOf, images_of: ImagesOf, plane_of: Callable[..., Subject]
) -> None:
    with pytest.raises(PictureError, match=r"of two numbers, and 'tiny' has 16: see the traversals, or train with"):
        draw("manifold", subject_of(images_of(2)))
    with pytest.raises(PictureError, match="One image has no range to draw the manifold over"):
        draw("manifold", plane_of(1))
