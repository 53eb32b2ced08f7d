"""Structural similarity (Wang, Bovik, Sheikh & Simoncelli 2004), for images in [0, 1]."""

from __future__ import annotations

import numpy as np

WINDOW = 11
SIGMA = 1.5
#: (K₁L)² and (K₂L)² of the paper, with K₁ = 0.01, K₂ = 0.03 and L = 1.
C1, C2 = 0.01**2, 0.03**2


def ssim(x_BCHW: np.ndarray, y_BCHW: np.ndarray) -> np.ndarray:
    """The mean of each pair's SSIM map over all places that the whole window fits to, and over channels: float64 [B].

    The window is a Gaussian of 11×11 pixels, σ = 1.5; in a smaller image the largest odd one that fits. Nothing is
    padded. 1 for equal images; what leaves [0, 1] is taken as it is.
    """
    x, y = x_BCHW.astype(np.float64), y_BCHW.astype(np.float64)
    window = gaussian_window(min(x.shape[2:]))
    mean_x, mean_y = _windowed(x, window), _windowed(y, window)
    variance_x = _windowed(x * x, window) - mean_x**2
    variance_y = _windowed(y * y, window) - mean_y**2
    covariance = _windowed(x * y, window) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance_x + variance_y + C2)
    similar: np.ndarray = (luminance * structure).mean(axis=(1, 2, 3))
    return similar


def gaussian_window(side: int) -> np.ndarray:
    """The profile of the window for images whose shorter side is ``side``: float64 [≤ 11], of sum 1."""
    width = min(WINDOW, side if side % 2 else side - 1)
    at = np.arange(width) - width // 2
    profile = np.exp(-(at**2) / (2 * SIGMA**2))
    normalised: np.ndarray = profile / profile.sum()
    return normalised


def _windowed(values_BCHW: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The weighted mean in the window at every place it fits to: along columns, then along rows."""
    rows, columns = (size - len(window) + 1 for size in values_BCHW.shape[2:])
    down = sum(weight * values_BCHW[:, :, at : at + rows] for at, weight in enumerate(window))
    across: np.ndarray = sum(weight * down[..., at : at + columns] for at, weight in enumerate(window))
    return across
