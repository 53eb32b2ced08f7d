"""How far images are from the originals, pixel by pixel and in structure."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10

import numpy as np

from aedeploy.images.ssim import ssim

#: Where the logarithm of a probability ends, as it does in PyTorch.
LEAST_LOG = -100.0


@dataclass(frozen=True, kw_only=True)
class PixelFigures:
    """Means over all pixels in [0, 1], and over images. ``psnr`` in dB is that of ``mse``, ``psnr_images`` the mean of
    the images' own; None where there is no error. ``bce`` in nats by pixel, ``bce_nats`` by image, ``bce_clamped`` the
    share of pixels whose logarithm was cut off at −100; None where the output is no probability.
    """

    mse: float
    mae: float
    psnr: float | None
    psnr_images: float | None
    ssim: float
    bce: float | None = None
    bce_nats: float | None = None
    bce_clamped: float | None = None


class PixelSums:
    """Running sums of what :class:`PixelFigures` holds, in float64."""

    def __init__(self, *, probabilities: bool) -> None:
        self._probabilities = probabilities
        self._images = self._pixels = self._clamped = 0
        self._squared = self._absolute = self._psnr = self._ssim = self._bce = 0.0

    def add(self, originals_BCHW: np.ndarray, images_BCHW: np.ndarray) -> None:
        """Add a batch: float32 [B, C, H, W] of originals in [0, 1] and of what is held against them."""
        originals, images = originals_BCHW.astype(np.float64), images_BCHW.astype(np.float64)
        error = images - originals
        squared_B = np.square(error).sum(axis=(1, 2, 3))
        self._images += len(error)
        self._pixels += error.size
        self._squared += float(squared_B.sum())
        self._absolute += float(np.abs(error).sum())
        with np.errstate(divide="ignore"):
            self._psnr += float(-10.0 * np.log10(squared_B * len(error) / error.size).sum())
        self._ssim += float(ssim(originals, images).sum())
        if self._probabilities:
            self._bce += float(cross_entropy(originals, images).sum())
            self._clamped += int(((images <= 0.0) & (originals > 0.0) | (images >= 1.0) & (originals < 1.0)).sum())

    def figures(self) -> PixelFigures:
        """The means of what was added."""
        mse = self._squared / self._pixels
        known = self._probabilities
        return PixelFigures(
            mse=mse,
            mae=self._absolute / self._pixels,
            psnr=psnr(mse),
            psnr_images=self._psnr / self._images if np.isfinite(self._psnr) else None,
            ssim=self._ssim / self._images,
            bce=self._bce / self._pixels if known else None,
            bce_nats=self._bce / self._images if known else None,
            bce_clamped=self._clamped / self._pixels if known else None,
        )


def cross_entropy(x: np.ndarray, p: np.ndarray) -> np.ndarray:
    """−x·log p − (1 − x)·log(1 − p) of each pixel, in nats; logarithms end at −100, as in PyTorch."""
    with np.errstate(divide="ignore"):
        log_p, log_q = np.log(p), np.log1p(-p)
    nats: np.ndarray = -x * np.maximum(log_p, LEAST_LOG) - (1.0 - x) * np.maximum(log_q, LEAST_LOG)
    return nats


def psnr(mse: float) -> float | None:
    """Peak signal-to-noise ratio in dB, for images in [0, 1]; None where there is no error."""
    return -10.0 * log10(mse) if mse > 0.0 else None
