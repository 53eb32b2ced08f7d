"""How active a latent is: zeros and spreads as NumPy counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aedeploy.bundle import LatentContract
from aedeploy.pictures import LIGHT, Picture, Subject, draw
from aedeploy.pictures.kinds.activity import activity

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]


def with_latents(subject: Subject, latents: np.ndarray) -> Subject:
    subject.__dict__["code"] = {"latent": latents.astype(np.float32)}
    return subject


def heights(picture: Picture, axes: int) -> list[float]:
    return [patch.get_height() for patch in picture.figure.axes[axes].patches]


def test_spread_and_use_are_by_unit() -> None:
    units = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 2, 0, 2]], np.float32)
    spread, used = activity(units)
    np.testing.assert_allclose(spread, [0, 0, 1])
    np.testing.assert_allclose(used, [0, 1, 0.5])


def test_dense_latents_are_ranked_by_their_spread(subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any) -> None:
    pixels = images_of(40)
    picture = draw("activity", subject_of(pixels))
    spread = low_pass.encode(pixels).std(axis=0)
    np.testing.assert_allclose(picture.figures["std"], spread, atol=1e-4)
    np.testing.assert_allclose(heights(picture, 1), np.sort(spread)[::-1], atol=1e-4)
    silent = int((spread**2 <= 0.01).sum())
    assert 0 < silent < 16
    assert picture.figures["silent_units"] == silent
    assert (picture.figures["dead_units"], picture.figures["zeros"], picture.figures["units"]) == (0, 0.0, 16)
    assert picture.reading.endswith(f"{silent} of 16 hardly vary.")
    assert picture.figure.axes[1].get_ylabel() == "std"
    assert "N(0, 1)" not in picture.reading


def test_sparse_latents_are_ranked_by_how_often_they_are_used(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    latents = np.zeros((10, 4))
    latents[:5, 0], latents[:2, 1], latents[:, 2] = 3.0, -2.0, np.arange(1, 11)
    picture = draw("activity", with_latents(subject_of(images_of(10)), latents))
    assert heights(picture, 1) == pytest.approx([100, 50, 20, 0])
    assert picture.figures["zeros"] == pytest.approx(23 / 40)
    assert picture.figures["nonzero_per_image"] == pytest.approx(1.7)
    assert picture.figures["dead_units"] == 1
    assert picture.notes == ("1 of 4 dimensions are 0 for every image.",)
    assert picture.figure.axes[1].get_ylabel() == "not 0, % of images"
    assert picture.figure.axes[0].get_xlabel() == "value of a latent number, those of 0 left out"
    # Of the values that are not 0, −2 to 10, nearly all are in the histogram, whose area is 1.
    patches = picture.figure.axes[0].patches
    assert sum(p.get_width() * p.get_height() for p in patches) == pytest.approx(1.0)


def test_a_channel_has_all_its_places(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    latents = np.random.default_rng(0).normal(size=(6, 3, 2, 2)) * np.array([1, 5, 2])[:, None, None]
    picture = draw("activity", with_latents(subject_of(images_of(6)), latents))
    wanted = latents.transpose(1, 0, 2, 3).reshape(3, -1).std(axis=1)
    np.testing.assert_allclose(picture.figures["std"], wanted, rtol=1e-4)
    assert picture.figure.axes[1].get_xlabel() == "channels, the most active first"


def test_a_black_image_makes_no_latent_sparse(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    pixels = images_of(200)
    pixels[7] = 0
    picture = draw("activity", subject_of(pixels))
    assert picture.figures["zeros"] == pytest.approx(1 / 200)
    assert picture.figure.axes[1].get_ylabel() == "std"


def test_0_is_a_code_like_any_other(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = with_latents(subject_of(images_of(9)), np.tile([[-1.0], [0.0], [1.0]], (3, 2)))
    subject.bundle = subject.bundle.save(
        subject.manifest.model_copy(
            update={"latent": LatentContract(shape=(2,), kind="vector", distribution="point", codebook_size=9)}
        )
    )
    picture = draw("activity", subject)
    assert picture.figure.axes[1].get_ylabel() == "std"
    assert "left out" not in picture.figure.axes[0].get_xlabel()


def test_the_prior_is_drawn_where_there_is_one(
    subject_of: SubjectOf, images_of: ImagesOf, prior: dict[str, Any]
) -> None:
    picture = draw("activity", subject_of(images_of(20), recipe=prior))
    assert "beside N(0, 1), what the prior asks for" in picture.reading
    (line,) = picture.figure.axes[0].get_lines()
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    np.testing.assert_allclose(y, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))
    assert line.get_color() == LIGHT.second
