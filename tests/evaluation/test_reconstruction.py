"""MSE, MAE, PSNR and BCE by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from aedeploy.evaluation.noise import NoiseSums, normal_draws
from aedeploy.evaluation.reconstruction import PixelSums, cross_entropy, psnr
from aedeploy.images.ssim import ssim


def planes(*values: float) -> np.ndarray:
    """One grey 1×2 image for every two values: float32 [B, 1, 1, 2]."""
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1, 2)


def test_figures_by_hand_over_two_batches() -> None:
    sums = PixelSums(probabilities=True)
    sums.add(planes(0.0, 1.0), planes(0.5, 0.75))
    sums.add(planes(0.25, 0.5), planes(0.25, 0.25))
    figures = sums.figures()
    assert figures.mse == pytest.approx((0.25 + 0.0625 + 0 + 0.0625) / 4)
    assert figures.mae == pytest.approx((0.5 + 0.25 + 0 + 0.25) / 4)
    assert figures.psnr == pytest.approx(-10 * np.log10(0.09375))
    assert figures.psnr_images == pytest.approx((-10 * np.log10(0.15625) - 10 * np.log10(0.03125)) / 2)
    bce = [-log(0.5), -log(0.75), -0.25 * log(0.25) - 0.75 * log(0.75), -0.5 * log(0.25) - 0.5 * log(0.75)]
    assert figures.bce == pytest.approx(sum(bce) / 4)
    assert figures.bce_nats == pytest.approx(sum(bce) / 2)
    assert figures.bce_clamped == 0.0


def test_how_images_are_cut_into_batches_does_not_matter() -> None:
    random = np.random.default_rng(0)
    clean, output = random.random((2, 10, 3, 12, 12), dtype=np.float32)
    whole, parts = PixelSums(probabilities=True), PixelSums(probabilities=True)
    whole.add(clean, output)
    for start in (0, 3, 6, 9):
        parts.add(clean[start : start + 3], output[start : start + 3])
    for name, value in vars(whole.figures()).items():
        assert getattr(parts.figures(), name) == pytest.approx(value, rel=1e-12)
    assert whole.figures().ssim == pytest.approx(ssim(clean, output).mean())


def test_equal_images_have_no_psnr_and_an_ssim_of_1() -> None:
    sums = PixelSums(probabilities=False)
    sums.add(planes(0.0, 1.0), planes(0.0, 1.0))
    figures = sums.figures()
    assert (figures.mse, figures.psnr, figures.psnr_images) == (0.0, None, None)
    assert figures.ssim == pytest.approx(1.0)
    assert (figures.bce, figures.bce_nats, figures.bce_clamped) == (None, None, None)


def test_logarithms_end_where_torchs_do() -> None:
    import torch

    x = np.array([0.0, 1.0, 0.0, 1.0, 0.5, 0.5, 0.25])
    p = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1e-60, 0.4])
    expected = torch.nn.functional.binary_cross_entropy(
        torch.from_numpy(p), torch.from_numpy(x), reduction="none"
    ).numpy()
    np.testing.assert_allclose(cross_entropy(x, p), expected, rtol=1e-12)
    assert cross_entropy(x, p)[2:5].tolist() == [100.0, 100.0, 50.0]
    sums = PixelSums(probabilities=True)
    sums.add(planes(0.0, 1.0, 0.0, 1.0), planes(0.0, 1.0, 1.0, 0.5))
    assert sums.figures().bce_clamped == 0.25


def test_psnr_by_hand() -> None:
    assert psnr(0.01) == pytest.approx(20.0)
    assert psnr(0.0) is None


def test_noise_is_measured_before_and_after() -> None:
    clean = np.full((1, 1, 12, 12), 0.5, dtype=np.float32)
    noise = NoiseSums(0.3)
    noise.add(clean, clean + np.float32(0.1), clean + np.float32(0.01))
    figures = noise.figures()
    assert figures.sigma == 0.3
    assert figures.noisy_psnr == pytest.approx(20.0, abs=1e-4)
    assert figures.psnr == pytest.approx(40.0, abs=1e-4)
    assert figures.gain == pytest.approx(20.0, abs=1e-4)
    assert figures.ssim == pytest.approx(ssim(clean, clean + np.float32(0.01))[0])
    assert figures.ssim > figures.noisy_ssim


def test_draws_are_an_images_own_whatever_its_batch() -> None:
    whole = normal_draws((5, 1, 40, 50), 0, seed=3, stream=0)
    np.testing.assert_array_equal(normal_draws((2, 1, 40, 50), 3, seed=3, stream=0), whole[3:])
    assert abs(whole.mean()) < 0.05
    assert abs(whole.std() - 1.0) < 0.05
    for other in (normal_draws((5, 1, 40, 50), 0, seed=4, stream=0), normal_draws((5, 1, 40, 50), 0, seed=3, stream=1)):
        assert abs(np.corrcoef(whole.ravel(), other.ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(whole[0].ravel(), whole[1].ravel())[0, 1]) < 0.1
