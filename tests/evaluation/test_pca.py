"""PCA against numpy's SVD, by both ways of fitting it, and with its coefficients in bytes."""

from __future__ import annotations

import numpy as np
import pytest

from aedeploy.evaluation import pca
from aedeploy.evaluation.pca import Components, Quantiser, fit_components, fit_quantiser, most_fitted


def some_pixels(images: int, values: int) -> np.ndarray:
    """uint8 [N, P] whose directions have variances far enough apart to tell them from one another."""
    random = np.random.default_rng(0)
    spread = random.standard_normal((images, values)) * np.linspace(60, 1, values)
    turned, _ = np.linalg.qr(random.standard_normal((values, values)))
    return np.clip(np.rint(128 + spread @ turned), 0, 255).astype(np.uint8)


def by_svd(pixels_NP: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    values = pixels_NP / 255.0
    mean = values.mean(axis=0)
    _, _, rows = np.linalg.svd(values - mean, full_matrices=False)
    return mean, rows[:components]


@pytest.mark.parametrize("way", ["covariance", "gram"])
@pytest.mark.parametrize(("images", "values"), [(3000, 20), (15, 40)])
def test_components_are_those_of_the_svd(monkeypatch: pytest.MonkeyPatch, way: str, images: int, values: int) -> None:
    monkeypatch.setattr(pca, "MOST_VALUES", values if way == "covariance" else 1)
    pixels = some_pixels(images, values)
    fitted = fit_components(pixels, 6)
    mean, rows = by_svd(pixels, 6)
    np.testing.assert_allclose(fitted.mean, mean, atol=1e-12)
    np.testing.assert_allclose(fitted.basis @ fitted.basis.T, np.eye(6), atol=1e-5)
    # A direction may come out either way round.
    np.testing.assert_allclose(np.abs((fitted.basis * rows).sum(axis=1)), 1.0, atol=1e-5)
    others = some_pixels(images + 7, values)[-7:] / 255.0
    expected = (others - mean) @ rows.T @ rows + mean
    np.testing.assert_allclose(fitted.restore(fitted.project(others)), expected, atol=1e-5)


@pytest.mark.parametrize("way", ["covariance", "gram"])
def test_few_images_have_few_components(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(pca, "MOST_VALUES", 1000 if way == "covariance" else 1)
    pixels = some_pixels(5, 30)
    fitted = fit_components(pixels, 20)
    assert fitted.basis.shape == (4, 30)
    assert fitted.images == 5
    np.testing.assert_allclose(fitted.restore(fitted.project(pixels / 255.0)), pixels / 255.0, atol=1e-5)


def test_equal_images_have_no_components_but_a_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pca, "MOST_VALUES", 1)
    fitted = fit_components(np.full((4, 6), 51, dtype=np.uint8), 2)
    assert len(fitted.basis) == 0
    np.testing.assert_allclose(fitted.restore(fitted.project(np.zeros((1, 6)))), 0.2, atol=1e-12)


def test_no_component_is_the_mean() -> None:
    pixels = some_pixels(10, 6)
    fitted = fit_components(pixels, 0)
    restored = fitted.restore(fitted.project(pixels / 255.0))
    np.testing.assert_allclose(restored, np.broadcast_to(pixels.mean(axis=0) / 255.0, (10, 6)), atol=1e-12)


def test_more_components_are_never_worse() -> None:
    pixels = some_pixels(500, 12)
    whole = fit_components(pixels, 12)
    errors = []
    for count in range(13):
        part = Components(mean=whole.mean, basis=whole.basis[:count], images=500)
        errors.append(np.square(part.restore(part.project(pixels / 255.0)) - pixels / 255.0).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(0.0, abs=1e-20)


def test_a_coefficient_has_256_values_over_its_range() -> None:
    quantiser = Quantiser(low=np.array([-1.0, 2.0]), high=np.array([1.0, 2.0]))
    step = 2.0 / 255
    given = np.array([[-1.0, 2.0], [1.0, 2.4], [-1.0 + 0.49 * step, 1.6], [-1.0 + 0.51 * step, 2.0], [9.0, 2.0]])
    expected = np.array([-1.0, 1.0, -1.0, -1.0 + step, 1.0])
    np.testing.assert_allclose(quantiser.round(given)[:, 0], expected, atol=1e-12)
    many = quantiser.round(np.stack([np.linspace(-3, 3, 100_000), np.full(100_000, 2.0)], axis=1))
    assert len(np.unique(many[:, 0])) == 256
    assert np.unique(many[:, 1]).tolist() == [2.0]


def test_the_range_is_that_of_the_fitted_images() -> None:
    pixels = some_pixels(3000, 8)
    fitted = fit_components(pixels, 3)
    coefficients = fitted.project(pixels / 255.0)
    quantiser = fit_quantiser(fitted, pixels)
    np.testing.assert_allclose(quantiser.low, coefficients.min(axis=0))
    np.testing.assert_allclose(quantiser.high, coefficients.max(axis=0))
    step = (quantiser.high - quantiser.low) / 255
    assert (np.abs(quantiser.round(coefficients) - coefficients) <= step / 2 + 1e-12).all()
    assert fit_quantiser(fit_components(pixels, 0), pixels).low.shape == (0,)


def test_the_memory_that_a_fit_takes_is_bounded() -> None:
    assert most_fitted(28 * 28) >= 60_000
    assert most_fitted(3 * 32 * 32) >= 50_000
    assert most_fitted(128 * 128) == 2048
    assert most_fitted(3 * 512 * 512) * 3 * 512 * 512 <= 2**25
    assert most_fitted(10**9) == 2
