"""Curves of training: every part, training and held out, and which epoch the weights are of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aedeploy.errors import PictureError
from aedeploy.pictures import LIGHT, Picture, Subject, draw
from aedeploy.pictures.kinds.curves import series

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]
Epoch = Callable[..., dict[str, Any]]


@pytest.fixture
def of_history(subject_of: SubjectOf, images_of: ImagesOf) -> Callable[..., Picture]:
    """The picture of lines of history.jsonl."""
    return lambda lines: draw("curves", subject_of(images_of(1), history=lines))


def drawn(picture: Picture) -> dict[str, list[list[float]]]:
    """By the name of an axis, the values of each line."""
    return {
        axes.get_ylabel(): [np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()]
        for axes in picture.figure.axes
    }


def test_every_part_is_a_series_and_what_is_missing_is_nan(an_epoch: Epoch) -> None:
    first = an_epoch(1, train_parts={"reconstruction": 3.0, "kl": 4.0}, held_out_parts={"reconstruction": 5.0})
    second = an_epoch(2, train_parts={"extra": True}, held_out_parts=None, held_out_loss="lost")
    found = series([first, second])
    assert list(found) == ["loss", "reconstruction", "kl", "extra"]
    np.testing.assert_equal(found["loss"][0], [1.0, 0.5])
    np.testing.assert_equal(found["loss"][1], [1.2, np.nan])
    np.testing.assert_equal(found["reconstruction"][0], [3.0, np.nan])
    np.testing.assert_equal(found["reconstruction"][1], [5.0, np.nan])
    np.testing.assert_equal(found["kl"][1], [np.nan, np.nan])


def test_each_part_has_its_axes_with_both_lines(of_history: Callable[..., Picture], an_epoch: Epoch) -> None:
    parts = [{"reconstruction": 1.0 / at, "kl": 0.1 * at} for at in (1, 2, 3)]
    held = [{"reconstruction": 1.5 / at, "kl": 0.2 * at} for at in (1, 2, 3)]
    lines = [
        an_epoch(at, train_parts=parts[at - 1], held_out_parts=held[at - 1], best=at < 3, lr=0.1**at)
        for at in (1, 2, 3)
    ]
    picture = of_history(lines)
    found = drawn(picture)
    assert list(found) == ["loss", "reconstruction", "kl", "learning rate"]
    assert found["loss"][:2] == [[1.0, 0.5, 1 / 3], [1.2, 0.6, 1.2 / 3]]
    assert found["kl"] == [[p["kl"] for p in parts], [p["kl"] for p in held]]
    assert found["learning rate"] == [[0.1**at for at in (1, 2, 3)]]
    loss = picture.figure.axes[0].get_lines()
    assert [line.get_color() for line in loss[:2]] == [LIGHT.first, LIGHT.second]
    assert list(loss[2].get_xdata()) == [2, 2]  # the best
    assert picture.figures == {
        "epochs": 3, "best_epoch": 2, "train_loss": pytest.approx(1 / 3), "held_out_loss": pytest.approx(0.4),
    }  # fmt: skip
    assert picture.reading.endswith("the dotted line is the epoch whose weights these are.")


def test_the_only_part_is_not_drawn_twice(of_history: Callable[..., Picture], an_epoch: Epoch) -> None:
    assert list(drawn(of_history([an_epoch(1), an_epoch(2)]))) == ["loss", "learning rate"]


def test_a_loss_over_decades_is_logarithmic_and_one_below_0_never(
    of_history: Callable[..., Picture], an_epoch: Epoch
) -> None:
    steep = of_history([an_epoch(1, train_loss=50.0), an_epoch(2)])
    assert steep.figure.axes[0].get_yscale() == "log"
    flat = of_history([an_epoch(1), an_epoch(2)])
    assert flat.figure.axes[0].get_yscale() == "linear"
    negative = of_history([an_epoch(1, train_loss=500.0, held_out_loss=-1.0), an_epoch(2)])
    assert negative.figure.axes[0].get_yscale() == "linear"


def test_a_line_that_was_cut_off_is_left_out(of_history: Callable[..., Picture], an_epoch: Epoch) -> None:
    picture = of_history([an_epoch(1), an_epoch(2), '{"epoch": 3, "train_loss": 0.1, "held'])
    assert picture.figures["epochs"] == 2


def test_losses_that_are_no_numbers_leave_gaps(of_history: Callable[..., Picture], an_epoch: Epoch) -> None:
    lines = [an_epoch(1), an_epoch(2, train_loss=float("inf")), an_epoch(3, held_out_loss=float("nan"), best=False)]
    picture = of_history(lines)
    assert picture.figures["held_out_loss"] is None
    assert picture.figures["train_loss"] == pytest.approx(1 / 3)
    picture.figure.draw_without_rendering()
    nothing = of_history([an_epoch(1, train_loss=None, held_out_loss=None, best=False, lr=None)])
    assert nothing.figures == {"epochs": 1, "best_epoch": None, "train_loss": None, "held_out_loss": None}
    assert "dotted" not in nothing.reading
    nothing.figure.draw_without_rendering()


def test_phases_are_told(of_history: Callable[..., Picture], an_epoch: Epoch) -> None:
    picture = of_history([an_epoch(1, phase="pair 1"), an_epoch(2, phase="pair 2"), an_epoch(3, phase="all")])
    assert picture.notes == ("Trained in 3 phases, one after the other, whose losses are not of one kind.",)
    assert of_history([an_epoch(1)]).notes == ()


def test_no_history_is_said(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    with pytest.raises(PictureError, match=r"has no history\.jsonl"):
        draw("curves", subject_of(images_of(1)))
