"""The way between two latents: straight, or around 0, and each step decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aedeploy.bundle import LatentContract
from aedeploy.errors import ConfigError, PictureError
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.interpolation import largest_step, linear, spherical

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]
Cells = Callable[..., np.ndarray]


def ends(length: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    one, other = np.random.default_rng(0).normal(size=(2, 6))
    return one / np.linalg.norm(one), other / np.linalg.norm(other) * length


def test_a_line_has_even_steps() -> None:
    one, other = ends()
    path = linear(one, other, 5)
    np.testing.assert_allclose(path[[0, -1]], [one, other])
    np.testing.assert_allclose(np.diff(path, axis=0), np.tile((other - one) / 4, (4, 1)))


@pytest.mark.parametrize("length", [1.0, 3.0])
def test_an_arc_has_even_angles_and_goes_evenly_from_length_to_length(length: float) -> None:
    one, other = ends(length)
    path = spherical(one, other, 9)
    np.testing.assert_allclose(path[[0, -1]], [one, other], atol=1e-12)
    norms = np.linalg.norm(path, axis=1)
    np.testing.assert_allclose(norms, np.linspace(1.0, length, 9))
    cosines = (path[1:] * path[:-1]).sum(axis=1) / norms[1:] / norms[:-1]
    np.testing.assert_allclose(np.arccos(cosines), np.arccos(one @ other / length) / 8)
    # In the plane of the two ends.
    assert np.linalg.matrix_rank(path, tol=1e-9) == 2


def test_of_equal_lengths_it_is_shoemakes_formula() -> None:
    one, other = ends(1.0)
    angle = np.arccos(one @ other)
    wanted = [(np.sin((1 - t) * angle) * one + np.sin(t * angle) * other) / np.sin(angle) for t in np.linspace(0, 1, 4)]
    np.testing.assert_allclose(spherical(one, other, 4), wanted)


@pytest.mark.parametrize(
    "other", [[2.0, 0.0], [1.0, 1e-5], [-1.0, 0.0], [0.0, 0.0]], ids=["parallel", "nearly", "opposite", "zero"]
)
def test_where_there_is_no_one_arc_it_is_the_line(other: list[float]) -> None:
    one, last = np.array([1.0, 0.0], np.float32), np.array(other, np.float32)
    np.testing.assert_allclose(spherical(one, last, 5), linear(one, last, 5))
    np.testing.assert_allclose(spherical(last, one, 5), linear(last, one, 5))
    assert not np.isnan(spherical(np.zeros(2), np.zeros(2), 3)).any()


def test_the_largest_step_is_in_units_of_the_mean() -> None:
    levels = np.array([0, 10, 20, 50], np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (4, 2, 2, 1))
    assert largest_step(images) == pytest.approx(30 / (50 / 3))
    assert largest_step(images[:1].repeat(3, axis=0)) == 1.0


@pytest.mark.parametrize("channels", [1, 3])
def test_a_strip_is_decoded_step_by_step(
    subject_of: SubjectOf, images_of: ImagesOf, cells: Cells, low_pass: Any, channels: int
) -> None:
    model = type(low_pass)(channels)
    pixels = images_of(5, channels)
    picture = draw("interpolation", subject_of(pixels), start=3, stop=1, steps=6)
    latents = model.encode(pixels)
    wanted = model.decode(linear(latents[3], latents[1], 6))
    shown = cells(picture, 0, 6, (8, 8, channels))[..., :channels]
    np.testing.assert_allclose(shown, wanted, atol=0.51)
    assert picture.figures["pairs"] == ["image 3 → image 1"]
    assert picture.figures["largest_step"] == pytest.approx([1.0], abs=0.1)
    assert picture.frames is not None
    np.testing.assert_array_equal(picture.frames.rows[0], shown)
    assert list(picture.frames.steps) == ["0%", "20%", "40%", "60%", "80%", "100%"]
    heads = [label.get_text() for label in picture.figure.axes[0].get_xticklabels()]
    assert heads == picture.frames.steps


def test_of_a_gaussian_both_ways_are_drawn(
    subject_of: SubjectOf, images_of: ImagesOf, cells: Cells, low_pass: Any
) -> None:
    pixels = images_of(4)
    picture = draw("interpolation", subject_of(pixels, gaussian=True), start=0, stop=2, steps=5)
    assert picture.figures["pairs"] == ["image 0 → image 2, linear", "image 0 → image 2, spherical"]
    latents = low_pass.encode(pixels)
    for row, way in enumerate((linear, spherical)):
        wanted = low_pass.decode(way(latents[0], latents[2], 5))
        np.testing.assert_allclose(cells(picture, row, 5, (8, 8, 1))[..., :1], wanted, atol=0.51)
    assert "spherical" in picture.reading
    one_number = subject_of(pixels, gaussian=True, patterns=1)
    assert draw("interpolation", one_number).figures["pairs"][0] == "image 0 → image 1"


@pytest.mark.parametrize(("classes", "pairs"), [(2, 1), (3, 1), (4, 2), (9, 3)])
def test_by_default_it_is_from_class_to_class(
    subject_of: SubjectOf, images_of: ImagesOf, classes: int, pairs: int
) -> None:
    labels = [f"c{at % classes}" for at in range(2 * classes)]
    picture = draw("interpolation", subject_of(images_of(2 * classes), labels))
    assert picture.figures["pairs"] == [f"c{2 * at} → c{2 * at + 1}" for at in range(pairs)]


def test_a_codebook_has_nothing_between_its_codes_and_that_is_said(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(3))
    latent = LatentContract(shape=(16,), kind="vector", distribution="point", codebook_size=64)
    subject.bundle = subject.bundle.save(subject.manifest.model_copy(update={"latent": latent}))
    (note,) = draw("interpolation", subject).notes
    assert note.startswith("The latents on the way are none of the codebook's")


def test_what_has_no_way_is_refused(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(4), ["a", "a", "b", "b"])
    with pytest.raises(ConfigError, match="start and stop go together"):
        draw("interpolation", subject, start=1)
    with pytest.raises(ConfigError, match="start and stop are the same image"):
        draw("interpolation", subject, start=1, stop="1")
    with pytest.raises(PictureError, match="One image is no way to another"):
        draw("interpolation", subject_of(images_of(1)))
