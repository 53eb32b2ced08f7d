"""The protocol that papers on denoising share, so that figures can be held against theirs.

White gaussian noise is added to the image as floats and not clipped, from a generator that is seeded anew for each
image; what comes out is rounded to 8 bits before it is compared (Zhang et al. 2017, DnCNN, and those after).
"""

from __future__ import annotations

from math import inf, log10

import numpy as np

from aedeploy.images.ssim import ssim

#: In levels of 255: what papers print.
DEFAULT_SIGMAS = (15.0, 25.0, 50.0)


def noisy_image(clean_HWC: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """A clean image, uint8 [H, W, C], with noise of ``sigma`` levels of 255: float32 [H, W, C] where white is 1.

    The draws are ``numpy.random.default_rng(seed).standard_normal((H, W, C))``, in float64: the same for every image
    of that shape, at any σ. Nothing is clipped.
    """
    draws = np.random.default_rng(seed).standard_normal(clean_HWC.shape)
    return ((clean_HWC + sigma * draws) / 255.0).astype(np.float32)


def rounded(image: np.ndarray) -> np.ndarray:
    """What a method gave, floats where white is 1 or already bytes, as uint8: clipped, to the nearest."""
    if image.dtype == np.uint8:
        return image
    return np.rint(np.clip(image.astype(np.float64), 0.0, 1.0) * 255.0).astype(np.uint8)


def psnr(clean_HWC: np.ndarray, other_HWC: np.ndarray) -> float:
    """Of two images in levels of 255, in dB, over all pixels and channels at once; infinite for equal ones."""
    error = float(np.square(clean_HWC.astype(np.float64) - other_HWC).mean())
    return 10.0 * log10(255.0**2 / error) if error else inf


def similarity(clean_HWC: np.ndarray, other_HWC: np.ndarray) -> float:
    """SSIM of two images in levels of 255, the mean of their channels'; :func:`aedeploy.images.ssim.ssim` says how."""
    clean, other = (image.transpose(2, 0, 1)[None].astype(np.float64) / 255.0 for image in (clean_HWC, other_HWC))
    return float(ssim(clean, other)[0])
