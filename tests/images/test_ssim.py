"""SSIM against the paper's formula, written out, and against the loss's own."""

from __future__ import annotations

import numpy as np
import pytest

from aedeploy.images.ssim import C1, C2, gaussian_window, ssim


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def by_loops(x: np.ndarray, y: np.ndarray, size: int) -> float:
    """The mean of Wang et al.'s equation 13 over all places of one plane that the window fits to."""
    at = np.arange(size) - size // 2
    weights = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = []
    for top in range(x.shape[0] - size + 1):
        for left in range(x.shape[1] - size + 1):
            a, b = (plane[top : top + size, left : left + size].astype(np.float64) for plane in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            found.append(
                (2 * mean_a * mean_b + 0.01**2)
                * (2 * covariance + 0.03**2)
                / ((mean_a**2 + mean_b**2 + 0.01**2) * (variance_a + variance_b + 0.03**2))
            )
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("height", "width", "size"), [(11, 11, 11), (15, 12, 11), (10, 20, 9), (8, 8, 7), (3, 5, 3), (2, 9, 1)]
)
def test_it_is_the_papers_wherever_the_window_fits(height: int, width: int, size: int) -> None:
    x, y = images(2, 3, height, width), images(2, 3, height, width, seed=1)
    expected = [np.mean([by_loops(a, b, size) for a, b in zip(*pair, strict=True)]) for pair in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x, y), expected, rtol=1e-9)


@pytest.mark.parametrize(("shape", "block"), [((3, 2, 40, 17), 400), ((5, 1, 12, 12), 300), ((2, 1, 43, 11), 1)])
def test_blocks_of_planes_and_bands_of_rows_make_no_difference(
    shape: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = images(*shape), images(*shape, seed=1)
    whole = ssim(x, y)
    monkeypatch.setattr("aedeploy.images.ssim._BLOCK", block)
    np.testing.assert_allclose(ssim(x, y), whole, rtol=1e-12)


def test_of_no_image_there_is_nothing() -> None:
    assert ssim(images(0, 1, 12, 12), images(0, 1, 12, 12)).shape == (0,)


def test_equal_images_are_1_and_a_negative_is_below_0() -> None:
    x = images(3, 1, 16, 16)
    np.testing.assert_allclose(ssim(x, x), 1.0, rtol=1e-12)
    assert (ssim(x, 1 - x) < -0.5).all()


def test_plain_images_differ_in_luminance_alone() -> None:
    grey, light = np.full((1, 1, 12, 12), 0.25), np.full((1, 1, 12, 12), 0.75)
    expected = (2 * 0.25 * 0.75 + C1) / (0.25**2 + 0.75**2 + C1)
    assert ssim(grey, light)[0] == pytest.approx(expected, rel=1e-9)


def test_one_place_by_hand() -> None:
    # A window of 1 pixel has no variance: only the luminance is left, and both halves have C₂ / C₂.
    x, y = np.array([0.2, 0.8]).reshape(1, 1, 1, 2), np.array([0.4, 0.8]).reshape(1, 1, 1, 2)
    expected = ((2 * 0.2 * 0.4 + C1) / (0.04 + 0.16 + C1) + 1) / 2
    assert ssim(x, y)[0] == pytest.approx(expected, rel=1e-9)


def test_the_window_has_the_sigma_of_the_paper() -> None:
    window = gaussian_window(100)
    assert len(window) == 11
    assert window.sum() == pytest.approx(1.0)
    assert window[5] / window[7] == pytest.approx(np.exp(4 / 4.5))
    assert pytest.approx((0.0001, 0.0009)) == (C1, C2)


@pytest.mark.parametrize("shape", [(2, 3, 16, 13), (2, 1, 8, 9)])
def test_the_loss_has_the_same_definition(shape: tuple[int, ...]) -> None:
    import torch

    from aedeploy.training.ssim import ssim_map

    x, y = images(*shape), images(*shape, seed=1)
    theirs = ssim_map(torch.from_numpy(x), torch.from_numpy(y), whole=False).mean(dim=(1, 2, 3))
    np.testing.assert_allclose(ssim(x, y), theirs.numpy(), atol=1e-5)
