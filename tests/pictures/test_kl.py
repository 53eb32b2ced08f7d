"""KL by dimension: the closed form, by falling value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from aedeploy.errors import PictureError
from aedeploy.pictures import LIGHT, Subject, draw

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]


def test_bars_are_the_closed_form_by_falling_value(
    subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any, prior: dict[str, Any]
) -> None:
    pixels = images_of(20)
    mean = low_pass.encode(pixels)  # and logvar = −mean
    wanted = 0.5 * (mean**2 + np.exp(-mean) - 1 + mean).mean(axis=0)
    picture = draw("kl", subject_of(pixels, gaussian=True, recipe=prior))
    np.testing.assert_allclose(picture.figures["kl"], wanted, rtol=1e-4)
    assert picture.figures["total"] == pytest.approx(wanted.sum(), rel=1e-4)
    active = int((wanted > 0.01).sum())
    assert 0 < active < 16
    assert picture.figures["active"] == active
    bars = picture.figure.axes[0].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], np.sort(wanted)[::-1], rtol=1e-4)
    hues = [to_hex(bar.get_facecolor()) for bar in bars]
    assert hues == [LIGHT.first] * active + [LIGHT.faint] * (16 - active)
    names = [label.get_text() for label in picture.figure.axes[0].get_xticklabels()]
    assert names == [str(at + 1) for at in np.argsort(-wanted)]
    assert picture.reading.endswith(f"{active} of 16 have more than 0.01 nats.")
    assert picture.notes == ()


def test_without_a_prior_it_is_said_that_it_cost_nothing(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    (note,) = draw("kl", subject_of(images_of(3), gaussian=True)).notes
    assert "this KL is no cost that it weighed" in note


def test_no_gaussian_and_no_number_are_refused(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    with pytest.raises(PictureError, match="The latent of 'tiny' is no gaussian, so it has no KL from a prior"):
        draw("kl", subject_of(images_of(3)))
    subject = subject_of(images_of(3), gaussian=True)
    subject.__dict__["code"] = {"latent": np.zeros((3, 2), np.float32), "logvar": np.full((3, 2), 1e3, np.float32)}
    with pytest.raises(PictureError, match="A KL of 'tiny' is beyond what a float holds"):
        draw("kl", subject)
