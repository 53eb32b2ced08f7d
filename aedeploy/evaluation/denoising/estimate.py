"""Where nobody says how much noise there is: how near the estimate comes, and what becomes of a clean image."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from statistics import fmean, median
from typing import Literal

import numpy as np

from aedeploy.evaluation.denoising.protocol import noisy_image, psnr, rounded
from aedeploy.images.noise_level import estimated_sigma
from aedeploy.runtime.full_size import FullSize

#: In levels of 255: where the estimate is looked at.
ESTIMATED_AT = (5.0, 10.0, 15.0, 25.0, 50.0)

#: What estimates are made from: floats that nothing was done to, or what an 8-bit file holds of them.
Given = Literal["floats", "bytes"]

#: As near as a figure of the estimate counts.
NEAR = 0.1

#: dB to the input, from which on a clean image came back nearly untouched.
UNTOUCHED = 40.0


@dataclass(frozen=True, kw_only=True)
class EstimateFigures:
    """Of the σ estimated in images with noise of ``sigma`` levels, ``given`` as floats or clipped and rounded to bytes:
    the ``mean``, the ``mean_error`` and the ``worst_error`` without their signs, relative to σ; and how many of
    the ``images`` are ``near``, within 10 %.
    """

    sigma: float
    given: Given
    mean: float
    mean_error: float
    worst_error: float
    near: int
    images: int


@dataclass(frozen=True, kw_only=True)
class CleanFigures:
    """Of clean images that were denoised at the σ estimated in them, against themselves, in dB: the least, the median;
    None where nothing was changed. ``untouched``: how many of the ``images`` came to 40 dB or more. ``sigma``: the mean
    of what was estimated, ``worst_sigma`` the most.
    """

    lowest_psnr: float | None
    median_psnr: float | None
    untouched: int
    images: int
    sigma: float
    worst_sigma: float


@dataclass(frozen=True, kw_only=True)
class AutoFigures:
    """What a bundle does that is told nothing: its ``estimates`` of σ, and what becomes of ``clean`` images."""

    estimates: tuple[EstimateFigures, ...]
    clean: CleanFigures


class AutoSums:
    """Collects what :class:`AutoFigures` holds."""

    def __init__(self, full: FullSize, maximum: float, seed: int) -> None:
        self._full, self._seed = full, seed
        at = [sigma for sigma in ESTIMATED_AT if sigma <= maximum]
        self._errors: dict[tuple[float, Given], list[float]] = {
            (sigma, given): [] for sigma in at for given in ("floats", "bytes")
        }
        self._clean: list[float] = []
        self._told: list[float] = []

    def add(self, clean_HWC: np.ndarray) -> None:
        """Measure one image, uint8 [H, W, C]."""
        for (sigma, given), errors in self._errors.items():
            noisy = noisy_image(clean_HWC, sigma, self._seed)
            errors.append(estimated_sigma(noisy if given == "floats" else rounded(noisy)) / sigma - 1.0)
        self._clean.append(psnr(clean_HWC, rounded(self._full.reconstruct(clean_HWC))))
        self._told.append(self._full.sigma or 0.0)

    def figures(self) -> AutoFigures:
        """Of what was added."""
        return AutoFigures(
            estimates=tuple(_estimates(*at, errors) for at, errors in self._errors.items()),
            clean=CleanFigures(
                lowest_psnr=_finite(min(self._clean)),
                median_psnr=_finite(median(self._clean)),
                untouched=sum(value >= UNTOUCHED for value in self._clean),
                images=len(self._clean),
                sigma=fmean(self._told),
                worst_sigma=max(self._told),
            ),
        )


def _estimates(sigma: float, given: Given, errors: list[float]) -> EstimateFigures:
    sizes = [abs(error) for error in errors]
    return EstimateFigures(
        sigma=sigma,
        given=given,
        mean=sigma * (1.0 + fmean(errors)),
        mean_error=fmean(sizes),
        worst_error=max(sizes),
        near=sum(size <= NEAR for size in sizes),
        images=len(errors),
    )


def _finite(value: float) -> float | None:
    return None if value == inf else value
