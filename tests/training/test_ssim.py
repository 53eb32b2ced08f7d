"""SSIM against the paper's formula, written out as loops, and its terms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_pass import tiny_pass
from torch import Tensor

from aedeploy.images.ssim import ssim
from aedeploy.training.objective import build_objective
from aedeploy.training.objectives import Premises
from aedeploy.training.ssim import ssim_map

C1, C2 = 0.0001, 0.0009
PREMISES = Premises(output="linear", normalisation="none", bottleneck="identity", distribution="point")


def by_loops(one: np.ndarray, other: np.ndarray, size: int = 11) -> np.ndarray:
    """Wang et al. 2004, equations 13 to 16, wherever the window lies within the plane; float64 [H, W]."""
    at = np.arange(size) - size // 2
    weights = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = np.empty((one.shape[0] - size + 1, one.shape[1] - size + 1))
    for y, x in np.ndindex(found.shape):
        a, b = (plane[y : y + size, x : x + size].astype(np.float64) for plane in (one, other))
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
        covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
        found[y, x] = ((2 * mean_a * mean_b + C1) * (2 * covariance + C2)) / (
            (mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2)
        )
    return found


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Two colour images of 16×13 and noisy ones of them, which are a little out of [0, 1]."""
    torch.manual_seed(0)
    images = torch.rand(2, 3, 16, 13)
    return images, images + 0.2 * torch.randn_like(images)


def test_it_is_the_papers_where_the_window_fits(pair: tuple[Tensor, Tensor]) -> None:
    found = ssim_map(*pair, whole=False)
    assert found.shape == (2, 3, 6, 3)
    for image, channel in np.ndindex(2, 3):
        one, other = (images[image, channel].numpy() for images in pair)
        np.testing.assert_allclose(found[image, channel], by_loops(one, other), atol=1e-5)


def test_the_whole_map_mirrors_the_borders(pair: tuple[Tensor, Tensor]) -> None:
    found = ssim_map(*pair)
    assert found.shape == (2, 3, 16, 13)
    one, other = (np.pad(images[1, 2].numpy(), 5, mode="reflect") for images in pair)
    np.testing.assert_allclose(found[1, 2], by_loops(one, other), atol=1e-5)
    torch.testing.assert_close(found[:, :, 5:-5, 5:-5], ssim_map(*pair, whole=False))


@pytest.mark.parametrize(("height", "width", "size"), [(8, 9, 7), (10, 30, 9), (2, 30, 1)])
def test_the_window_shrinks_with_the_image(height: int, width: int, size: int) -> None:
    torch.manual_seed(0)
    one, other = torch.rand(2, 1, 1, height, width)
    found = ssim_map(one, other, whole=False)[0, 0]
    np.testing.assert_allclose(found, by_loops(one[0, 0].numpy(), other[0, 0].numpy(), size), atol=1e-5)
    assert ssim_map(one, other).shape == one.shape


@pytest.mark.parametrize("side", [30, 8])
def test_what_is_trained_is_what_an_evaluation_measures(side: int) -> None:
    torch.manual_seed(0)
    one, other = torch.rand(2, 4, 3, side, side)
    found = ssim_map(one, other, whole=False).mean((1, 2, 3))
    np.testing.assert_allclose(found, ssim(one.numpy(), other.numpy()), atol=1e-6)


def test_an_image_is_most_like_itself(pair: tuple[Tensor, Tensor]) -> None:
    one, other = pair
    torch.testing.assert_close(ssim_map(one, one), torch.ones_like(one))
    assert ssim_map(one, other).max() < 1.0
    torch.testing.assert_close(ssim_map(one, other), ssim_map(other, one))


def test_plain_images_differ_in_luminance_alone() -> None:
    grey, light = torch.full((1, 1, 12, 12), 0.25), torch.full((1, 1, 12, 12), 0.75)
    expected = (2 * 0.25 * 0.75 + C1) / (0.25**2 + 0.75**2 + C1)
    torch.testing.assert_close(ssim_map(grey, light), torch.full_like(grey, expected), rtol=1e-3, atol=0.0)


def test_a_negative_is_less_than_nothing() -> None:
    checkers = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(8, 8).view(1, 1, 16, 16)
    assert ssim_map(checkers, 1.0 - checkers).mean() < -0.9


@pytest.mark.parametrize(
    ("table", "weight"),
    [
        ({"reconstruction": {"loss": "ssim"}}, 1.0),
        ({"reconstruction": {"loss": "l1", "weight": 0.0}, "ssim": {"weight": 0.84}}, 0.84),
    ],
    ids=["loss", "term"],
)
def test_the_loss_and_the_term_are_the_sum_of_what_lacks(
    pair: tuple[Tensor, Tensor], table: dict, weight: float
) -> None:
    clean, output = pair
    output = output.clone().requires_grad_()
    loss, _ = build_objective({"reduction": "sum", **table}, PREMISES)(tiny_pass(output, clean))
    assert loss.item() == pytest.approx(weight * (1.0 - ssim_map(output, clean)).sum().item())
    loss.backward()
    assert output.grad is not None
    better = output.detach() - 0.01 * output.grad / output.grad.abs().max()
    assert (1.0 - ssim_map(better, clean)).sum() * weight < loss


def test_at_the_image_itself_there_is_nothing_to_gain() -> None:
    torch.manual_seed(0)
    clean = torch.rand(1, 1, 12, 12)
    output = clean.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ssim_map(output, clean).sum(), output)
    torch.testing.assert_close(gradient, torch.zeros_like(clean), rtol=0.0, atol=1e-3)
