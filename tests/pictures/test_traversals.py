"""Traversals: one number after the other goes through its range, and the decoder shows what it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aedeploy.errors import PictureError
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.traversals import ranges, traversal

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]
Cells = Callable[..., np.ndarray]


def test_a_prior_has_its_range_and_data_the_middle_of_its_own() -> None:
    units = np.stack([np.linspace(0, 100, 101), np.full(101, 5.0)]).astype(np.float32)
    np.testing.assert_allclose(ranges(units, 3, prior=True), [[-3, 0, 3]] * 2)
    np.testing.assert_allclose(ranges(units, 3, prior=False), [[1, 50, 99], [5, 5, 5]])


def test_one_number_moves_and_the_others_stay() -> None:
    base = np.array([1.0, 2.0, 3.0], np.float32)
    found = traversal(base, 1, np.array([-1.0, 0.0, 5.0]))
    np.testing.assert_allclose(found, [[1, -1, 3], [1, 0, 3], [1, 5, 3]])


def test_a_channel_moves_as_a_whole() -> None:
    base = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    found = traversal(base, 1, np.array([0.0, 10.0]))
    np.testing.assert_allclose(found[:, 0], [base[0], base[0]])
    np.testing.assert_allclose(found[:, 1].mean(axis=(1, 2)), [0, 10])
    np.testing.assert_allclose(found[1, 1] - found[0, 1], 10)


def test_the_dimensions_that_vary_most_are_decoded_through_their_range(
    subject_of: SubjectOf, images_of: ImagesOf, cells: Cells, low_pass: Any
) -> None:
    pixels = images_of(40)
    picture = draw("traversals", subject_of(pixels), image=7, rows=3, steps=5)
    latents = low_pass.encode(pixels)
    order = np.argsort(-latents.var(axis=0))[:3]
    assert picture.figures["units"] == order.tolist()
    assert picture.figures["image"] == 7
    np.testing.assert_allclose(picture.figures["variance"], latents.var(axis=0)[order], rtol=1e-3)
    for row, unit in enumerate(order):
        moved = np.repeat(latents[7:8], 5, axis=0)
        moved[:, unit] = np.linspace(*np.quantile(latents[:, unit], [0.01, 0.99]), 5)
        wanted = low_pass.decode(moved)
        shown = cells(picture, row, 5, (8, 8, 1))[..., :1]
        np.testing.assert_allclose(shown, wanted, atol=0.51)
        change = np.abs(np.diff(wanted, axis=0)).mean()
        assert picture.figures["change"][row] == pytest.approx(change, abs=0.5)
        assert picture.frames is not None
        np.testing.assert_array_equal(picture.frames.rows[row], shown)
    names = [label.get_text() for label in picture.figure.axes[0].get_yticklabels()]
    digits = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    assert [name.split()[0] for name in names] == [f"z{str(at + 1).translate(digits)}" for at in order]
    assert picture.notes == ("13 more of lower variance are not drawn.",)
    heads = [label.get_text() for label in picture.figure.axes[0].get_xticklabels()]
    assert heads == ["least", "", "", "", "most"]


def test_of_a_gaussian_the_order_is_that_of_the_kl_and_the_range_the_priors(
    subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any, prior: dict[str, Any], cells: Cells
) -> None:
    pixels = images_of(20)
    subject = subject_of(pixels, gaussian=True, recipe=prior)
    picture = draw("traversals", subject, rows=2, steps=3)
    assert subject.kl is not None
    order = np.argsort(-subject.kl)[:2]
    assert picture.figures["units"] == order.tolist()
    np.testing.assert_allclose(picture.figures["kl"], subject.kl[order])
    moved = np.repeat(low_pass.encode(pixels)[:1], 3, axis=0)
    moved[:, order[0]] = [-3, 0, 3]
    np.testing.assert_allclose(cells(picture, 0, 3, (8, 8, 1))[..., :1], low_pass.decode(moved), atol=0.51)
    assert [label.get_text() for label in picture.figure.axes[0].get_xticklabels()] == ["−3", "+0", "+3"]
    assert picture.figure.axes[0].get_ylabel() == "dimension, KL in nats"


def test_a_kl_beyond_all_floats_gives_way_to_the_variance(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(3), gaussian=True)
    code = {"latent": subject.latents, "logvar": np.full_like(subject.latents, 1e3)}
    subject.__dict__["code"] = code
    picture = draw("traversals", subject)
    assert np.isfinite(picture.figures["variance"]).all()


def test_by_default_it_is_of_the_first_class(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(9), list("ccbbbaaac"))
    assert draw("traversals", subject).figures["image"] == subject.typical("a")
    assert draw("traversals", subject, image="b").figures["image"] == subject.typical("b")


def test_one_image_has_a_range_only_under_a_prior(
    subject_of: SubjectOf, images_of: ImagesOf, prior: dict[str, Any]
) -> None:
    with pytest.raises(PictureError, match="One image has no range to go through"):
        draw("traversals", subject_of(images_of(1)))
    assert draw("traversals", subject_of(images_of(1), recipe=prior)).figures["image"] == 0
