"""Latents as points: as they are, by principal components as NumPy finds them, or by t-SNE."""

from __future__ import annotations

import numpy as np
import pytest

from aedeploy.errors import PictureError
from aedeploy.pictures.scatter import plane, principal


def latents(number: int = 60, size: int = 7) -> np.ndarray:
    """Of variances that fall quickly, in directions of no axis, about no zero."""
    random = np.random.default_rng(0)
    scaled = random.normal(size=(number, size)) * 2.0 ** -np.arange(size)
    mirror = random.normal(size=size) / np.sqrt(size)
    mirrored = scaled - np.outer(scaled @ mirror, 2.0 * mirror / (mirror @ mirror))
    return (mirrored + 5).astype(np.float32)


@pytest.mark.parametrize("size", [2, 7, 100, 1100])
def test_principal_components_are_those_of_the_singular_vectors(size: int) -> None:
    flat = latents(size=size)
    centred = flat.astype(np.float64) - flat.astype(np.float64).mean(axis=0)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    points, shares = principal(flat, 2)
    np.testing.assert_allclose(shares, (values**2 / (values**2).sum())[:2], rtol=1e-6)
    # A direction has no sign.
    np.testing.assert_allclose(np.abs(points), np.abs(centred @ vectors[:2].T), rtol=1e-3, atol=1e-3 * values[0])


def test_the_axes_say_how_much_they_explain() -> None:
    found = plane(latents())
    assert found.method == "PCA"
    assert found.axes == tuple(f"principal component {at + 1} ({found.explained[at]:.0%})" for at in range(2))
    assert found.points.shape == (60, 2)


@pytest.mark.parametrize(("size", "axes"), [(1, ("z₁",)), (2, ("z₁", "z₂"))])
def test_one_or_two_numbers_stay_as_they_are(size: int, axes: tuple[str, ...]) -> None:
    flat = latents(size=size)
    found = plane(flat)
    np.testing.assert_array_equal(found.points, flat)
    assert (found.axes, found.explained, found.method) == (axes, (), "as it is")


def test_two_numbers_can_still_be_turned() -> None:
    assert plane(latents(size=2), "pca").method == "PCA"
    assert sum(plane(latents(size=2), "pca").explained) == pytest.approx(1.0)


def test_directions_that_are_not_there_are_nothing() -> None:
    line = np.outer(np.arange(5), np.ones(4)).astype(np.float32)
    points, shares = principal(line, 2)
    assert shares == pytest.approx((1.0, 0.0))
    np.testing.assert_allclose(points[:, 1], 0.0, atol=1e-6)
    one_number, shares = principal(line[:, :1], 2)
    assert one_number.shape == (5, 2)
    assert shares == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_latents_that_are_all_the_same_have_no_variance_to_explain(value: float) -> None:
    # Their mean in floats is not always their value, and a share of that difference would mean nothing.
    points, shares = principal(np.full((7, 3), value, np.float32), 2)
    assert shares == (0.0, 0.0)
    np.testing.assert_allclose(points, 0.0, atol=1e-12)
    with pytest.raises(PictureError, match="All latents are the same"):
        plane(np.full((7, 3), value, np.float32), "tsne")


def test_neighbours_stay_neighbours_by_tsne_and_the_seed_says_where() -> None:
    random = np.random.default_rng(0)
    flat = np.concatenate([random.normal(at, 0.05, (15, 5)) for at in (0.0, 4.0)]).astype(np.float32)
    found = plane(flat, "tsne")
    assert found.method == "t-SNE, perplexity 9.67"
    assert found.axes == ("t-SNE 1 (no unit)", "t-SNE 2 (no unit)")
    distance = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_array_equal(distance.argmin(axis=1) < 15, np.arange(30) < 15)
    np.testing.assert_array_equal(plane(flat, "tsne").points, found.points)


@pytest.mark.parametrize(
    ("shape", "method", "said"),
    [
        ((9, 1), "pca", "A latent of one number has no plane for pca to find"),
        ((9, 1), "tsne", "A latent of one number has no plane for tsne to find"),
        ((1, 5), "auto", "1 latents of 5 numbers span no plane"),
        ((2, 5), "tsne", "2 latents of 5 numbers span no plane"),
    ],
)
def test_what_spans_no_plane_is_refused(shape: tuple[int, int], method: str, said: str) -> None:
    with pytest.raises(PictureError, match=said):
        plane(np.ones(shape, np.float32), method)
