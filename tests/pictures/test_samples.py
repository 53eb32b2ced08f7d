"""Samples: draws of the prior, or of a mixture that finds what clusters there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aedeploy.bundle import LatentContract
from aedeploy.errors import PictureError
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.samples import from_mixture, from_prior

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]
Cells = Callable[..., np.ndarray]


def clusters(scale: float = 1.0) -> np.ndarray:
    """Two clusters of 150 and 50 latents of 5 numbers, of which only two vary."""
    random = np.random.default_rng(0)
    flat = np.zeros((200, 5))
    flat[:, :2] = random.normal(0, 0.1, (200, 2))
    flat[150:, 0] += 4.0
    flat[:, 2] = 7.0
    return (scale * flat).astype(np.float32)


def test_the_prior_has_mean_0_and_variance_1() -> None:
    draws = from_prior(4000, 3, np.random.default_rng(0))
    assert draws.dtype == np.float32
    np.testing.assert_allclose(draws.mean(axis=0), 0.0, atol=0.06)
    np.testing.assert_allclose(np.cov(draws.T), np.eye(3), atol=0.06)


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
def test_a_mixture_finds_two_clusters_whatever_their_scale(scale: float) -> None:
    found = from_mixture(clusters(scale), 400, 2, seed=0)
    latents = found.latents / scale
    second = latents[:, 0] > 2.0
    assert second.mean() == pytest.approx(0.25, abs=0.06)
    for members, centre in ((latents[~second], 0.0), (latents[second], 4.0)):
        assert members[:, 0].mean() == pytest.approx(centre, abs=0.05)
        np.testing.assert_allclose(members[:, :2].std(axis=0), 0.1, rtol=0.25)
    np.testing.assert_allclose(latents[:, 2], 7.0, rtol=0.01)
    np.testing.assert_allclose(latents[:, 3:], 0.0, atol=0.02)
    assert (found.components, found.directions) == (2, 5)
    assert found.variance == pytest.approx(1.0)
    # In no order of the components.
    assert np.diff(second.astype(int)).astype(bool).sum() > 5


def test_the_same_seed_is_the_same_draws() -> None:
    one, two, other = (from_mixture(clusters(), 10, None, seed).latents for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("images", "asked", "components", "directions"),
    [(200, None, 10, 5), (60, None, 3, 5), (9, None, 1, 2), (9, 30, 9, 2)],
)
def test_there_are_no_more_components_than_images_can_say(
    images: int, asked: int | None, components: int, directions: int
) -> None:
    flat = np.random.default_rng(0).normal(size=(images, 5)).astype(np.float32)
    found = from_mixture(flat, 4, asked, seed=0)
    assert (found.components, found.directions) == (components, directions)
    values = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False) ** 2
    assert found.variance == pytest.approx(values[:directions].sum() / values.sum(), rel=1e-5)


def test_what_has_no_distribution_is_refused() -> None:
    with pytest.raises(PictureError, match="One latent has no distribution"):
        from_mixture(np.ones((1, 3), np.float32), 4, None, 0)
    for value in (0.0, 0.1, 1 / 3):
        with pytest.raises(PictureError, match="All latents are the same"):
            from_mixture(np.full((7, 3), value, np.float32), 4, None, 0)


def test_draws_of_the_prior_are_decoded_in_their_order(
    subject_of: SubjectOf, images_of: ImagesOf, cells: Cells, low_pass: Any, prior: dict[str, Any]
) -> None:
    pixels = images_of(6)
    subject = subject_of(pixels, recipe=prior)
    picture = draw("samples", subject, count=14)
    latents = subject.generator("samples").standard_normal((14, 16), np.float32)
    wanted = low_pass.decode(latents)
    np.testing.assert_allclose(cells(picture, 0, 12, (8, 8, 1))[..., :1], wanted[:12], atol=0.51)
    np.testing.assert_allclose(cells(picture, 1, 2, (8, 8, 1))[..., :1], wanted[12:], atol=0.51)
    assert picture.figures["source"] == "prior"
    encoded = low_pass.encode(pixels)
    assert picture.figures["latent_mean"] == pytest.approx(encoded.mean(), rel=1e-4)
    assert picture.figures["latent_std"] == pytest.approx(encoded.std(), rel=1e-4)
    assert picture.notes == ()


def test_without_a_prior_it_is_a_mixture(
    subject_of: SubjectOf, images_of: ImagesOf, cells: Cells, low_pass: Any
) -> None:
    subject = subject_of(images_of(40))
    picture = draw("samples", subject, count=4, components=2)
    mixture = from_mixture(subject.flat, 4, 2, 0)
    np.testing.assert_allclose(cells(picture, 0, 4, (8, 8, 1))[..., :1], low_pass.decode(mixture.latents), atol=0.51)
    assert (picture.figures["source"], picture.figures["components"]) == ("mixture", 2)
    assert "a mixture of 2 Gaussians" in picture.reading
    assert picture.figures["directions"] == 10
    assert picture.notes[0].startswith("The mixture is fitted in the 10 directions of the largest variance")
    (note,) = draw("samples", subject, source="prior").notes
    assert note.startswith("Nothing in training brought the latents to N(0, I)")


def test_of_a_sparse_code_it_is_said_that_draws_are_not(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(80))
    latent = LatentContract(shape=(16,), kind="vector", distribution="point", masked=True)
    subject.bundle = subject.bundle.save(subject.manifest.model_copy(update={"latent": latent}))
    assert "The encoder's own codes are mostly 0, and draws of a mixture are not." in draw("samples", subject).notes
