"""Structural similarity (Wang, Bovik, Sheikh & Simoncelli 2004), for images in [0, 1]."""

from __future__ import annotations

import numpy as np

WINDOW = 11
SIGMA = 1.5
#: (K₁L)² and (K₂L)² of the paper, with K₁ = 0.01, K₂ = 0.03 and L = 1.
C1, C2 = 0.01**2, 0.03**2

# Values that are worked on at a time: float64 arrays of so many stay in a core's cache, and a photograph's do not fill
# the memory. Measured: twice as fast as whole batches of 28×28 or 128×128, 6 times on 1.5 megapixels.
_BLOCK = 2**15

# Of a band of an image: less would be mostly the rows that two bands share.
_LEAST_ROWS = 32


def ssim(x_BCHW: np.ndarray, y_BCHW: np.ndarray) -> np.ndarray:
    """The mean of each pair's SSIM map over all places that the whole window fits to, and over channels: float64 [B].

    The window is a Gaussian of 11×11 pixels, σ = 1.5; in a smaller image the largest odd one that fits. Nothing is
    padded. 1 for equal images; what leaves [0, 1] is taken as it is.
    """
    images, channels, height, width = x_BCHW.shape
    x, y = (values.reshape(images * channels, height, width) for values in (x_BCHW, y_BCHW))
    window = gaussian_window(min(height, width))
    planes = max(1, _BLOCK // (height * width))
    sums = [_sums(x[at : at + planes], y[at : at + planes], window) for at in range(0, len(x), planes)]
    places = (height - len(window) + 1) * (width - len(window) + 1)
    similar: np.ndarray = np.concatenate([np.zeros(0), *sums]).reshape(images, channels).sum(axis=1) / places
    similar /= channels
    return similar


def gaussian_window(side: int) -> np.ndarray:
    """The profile of the window for images whose shorter side is ``side``: float64 [≤ 11], of sum 1."""
    width = min(WINDOW, side if side % 2 else side - 1)
    at = np.arange(width) - width // 2
    profile = np.exp(-(at**2) / (2 * SIGMA**2))
    normalised: np.ndarray = profile / profile.sum()
    return normalised


def _sums(x_PHW: np.ndarray, y_PHW: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The sums of the SSIM maps of some planes, band by band: float64 [P]."""
    planes, height, width = x_PHW.shape
    places, shared = height - len(window) + 1, len(window) - 1
    step = max(_LEAST_ROWS, _BLOCK // (planes * width))
    total = np.zeros(planes)
    for top in range(0, places, step):
        # The planes last: every step of the window is then one long run of additions.
        bands = (values[:, top : top + step + shared].transpose(1, 2, 0) for values in (x_PHW, y_PHW))
        x, y = (np.ascontiguousarray(band, dtype=np.float64) for band in bands)
        total += _map(x, y, window).sum(axis=(0, 1))
    return total


def _map(x: np.ndarray, y: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Equation 13 of the paper at every place of [H, W, P], for each plane on its own."""
    mean_x, mean_y = _windowed(x, window), _windowed(y, window)
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = _windowed(x * y, window) - product
    variances = _windowed(x * x + y * y, window) - squares
    similar: np.ndarray = (2 * product + C1) / (squares + C1) * (2 * covariance + C2) / (variances + C2)
    return similar


def _windowed(values: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The weighted mean of [H, W, P] in the window at every place it fits to: along columns, then along rows."""
    rows, columns = (size - len(window) + 1 for size in values.shape[:2])
    down = values[:rows] * window[0]
    term = np.empty_like(down)
    for at, weight in enumerate(window[1:], 1):
        down += np.multiply(values[at : at + rows], weight, out=term)
    across: np.ndarray = down[:, :columns] * window[0]
    term = np.empty_like(across)
    for at, weight in enumerate(window[1:], 1):
        across += np.multiply(down[:, at : at + columns], weight, out=term)
    return across
