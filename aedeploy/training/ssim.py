"""The structural similarity index of Wang et al. 2004."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WINDOW = 11
SIGMA = 1.5
# (K1·L)² and (K2·L)² of the paper, L the range of the data: 1.
_C1 = 0.01**2
_C2 = 0.03**2


def ssim_map(one_BCHW: Tensor, other_BCHW: Tensor, *, whole: bool = True) -> Tensor:
    """SSIM at every pixel, each channel on its own; float32 images of range 1, usually [0, 1].

    ``whole``: images are mirrored at their borders, so that the map has their shape and every pixel counts; if not,
    only where the window lies within the image, as the paper has it: [B, C, H − 10, W − 10].
    In images smaller than the window it shrinks to the largest odd one that fits.
    """
    size = min(WINDOW, *(side - (side + 1) % 2 for side in one_BCHW.shape[2:]))
    window = _gaussian(size, one_BCHW)
    stacked = torch.stack([one_BCHW, other_BCHW, one_BCHW.square(), other_BCHW.square(), one_BCHW * other_BCHW])
    planes = stacked.flatten(0, 2).unsqueeze(1)
    if whole and size > 1:
        planes = functional.pad(planes, [size // 2] * 4, mode="reflect")
    planes = functional.conv2d(functional.conv2d(planes, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
    mean, other_mean, square, other_square, product = planes.view(*stacked.shape[:3], *planes.shape[2:])
    variances = square - mean.square() + other_square - other_mean.square()
    covariance = product - mean * other_mean
    luminance = (2.0 * mean * other_mean + _C1) / (mean.square() + other_mean.square() + _C1)
    similarity: Tensor = luminance * (2.0 * covariance + _C2) / (variances + _C2)
    return similarity


def _gaussian(size: int, like: Tensor) -> Tensor:
    at = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    weights = torch.exp(-0.5 * (at / SIGMA).square())
    return weights / weights.sum()
