"""What is left of white noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aedeploy.evaluation.reconstruction import PixelSums

#: In units of [0, 1]: what a bundle that denoises is measured at, where nobody says.
DEFAULT_SIGMAS = (0.1, 0.25, 0.5)


@dataclass(frozen=True, kw_only=True)
class NoiseFigures:
    """At one σ, of the noisy input and of the output, both against the clean image. ``psnr`` in dB is that of the mean
    squared error over all images, ``psnr_images`` the mean of the images' own, ``gain`` what ``psnr`` rose by.
    """

    sigma: float
    noisy_psnr: float | None
    noisy_psnr_images: float | None
    noisy_ssim: float
    psnr: float | None
    psnr_images: float | None
    ssim: float
    gain: float | None


class NoiseSums:
    """Running sums of what :class:`NoiseFigures` holds, for one σ."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma
        self._noisy, self._output = PixelSums(probabilities=False), PixelSums(probabilities=False)

    def add(self, clean_BCHW: np.ndarray, noisy_BCHW: np.ndarray, output_BCHW: np.ndarray) -> None:
        """Add a batch: float32 [B, C, H, W] each."""
        self._noisy.add(clean_BCHW, noisy_BCHW)
        self._output.add(clean_BCHW, output_BCHW)

    def figures(self) -> NoiseFigures:
        """The means of what was added."""
        noisy, output = self._noisy.figures(), self._output.figures()
        return NoiseFigures(
            sigma=self.sigma,
            noisy_psnr=noisy.psnr,
            noisy_psnr_images=noisy.psnr_images,
            noisy_ssim=noisy.ssim,
            psnr=output.psnr,
            psnr_images=output.psnr_images,
            ssim=output.ssim,
            gain=output.psnr - noisy.psnr if output.psnr is not None and noisy.psnr is not None else None,
        )


def normal_draws(shape: tuple[int, ...], first: int, seed: int, stream: int) -> np.ndarray:
    """Draws of N(0, 1), float32 ``shape`` = [B, …], for the images from position ``first`` on.

    Each image has a generator of its own, seeded by ``seed``, its position, and ``stream``, what the draws are for: it
    gets the same ones in any batch.
    """
    draws = np.empty(shape, dtype=np.float32)
    for row in range(shape[0]):
        generator = np.random.default_rng([seed, stream, first + row])
        generator.standard_normal(dtype=np.float32, out=draws[row])
    return draws
