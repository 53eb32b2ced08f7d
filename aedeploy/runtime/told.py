"""What a model is told of the noise in its images: one number, one for each of them, or what is estimated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from aedeploy.bundle import Bundle, NoiseContract
from aedeploy.errors import ConfigError
from aedeploy.images.noise_level import estimated_sigma

#: The noise's standard deviation in levels of 255: one for all images, or one for each, [N]; None: to be estimated.
Sigma = float | Sequence[float] | np.ndarray | None


def check_sigma(bundle: Bundle, sigma: Sigma, images: int | None = None) -> None:
    """Raise a ConfigError where a bundle's model takes no ``sigma``, not such a one, or not so many."""
    noise = bundle.manifest.noise
    if sigma is None:
        return
    if noise is None:
        raise ConfigError(
            f"The model of bundle {bundle.name!r} is told nothing of the noise, so there is no sigma to give: "
            "leave it out, or take a bundle of a denoiser such as denoiser-color."
        )
    try:
        levels = np.asarray(sigma, np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"sigma is a number, or one for each image, and not {sigma!r}.") from None
    wrong = levels[~((levels >= 0.0) & (levels <= noise.maximum))]
    if wrong.size:
        raise ConfigError(
            f"sigma is the noise's standard deviation in levels of 255, from 0 to {noise.maximum:g} for bundle "
            f"{bundle.name!r}, or left out to be estimated: {wrong.flat[0]:g} is not."
        )
    if levels.ndim and (levels.ndim > 1 or images not in (None, len(levels))):
        raise ConfigError(
            f"sigma is one number, or one for each image: it is {list(levels.shape)}"
            f"{'' if images is None else f' for {images:,} of them'}."
        )


def of_image(noise: NoiseContract, pixels_HWC: np.ndarray) -> float:
    """What a model is told of one image where nobody says: estimated, as far as it was trained."""
    return min(estimated_sigma(pixels_HWC), noise.maximum)


def sigma_map(noise: NoiseContract, images: np.ndarray, sigma: Sigma) -> np.ndarray:
    """How much noise there is in each pixel of images, uint8 [N, H, W, C] or float32 [N, C, H, W]: [N, 1, H, W]."""
    in_rows = images if images.dtype == np.uint8 else images.transpose(0, 2, 3, 1)
    if sigma is None:
        sigma = [of_image(noise, image) for image in in_rows]
    maps = np.empty((len(images), 1, *in_rows.shape[1:3]), np.float32)
    maps[:] = np.asarray(sigma, np.float32).reshape(-1, 1, 1, 1)
    return maps


def with_sigma(bundle: Bundle, batches: Iterator[np.ndarray], sigma: Sigma) -> Iterator[tuple[np.ndarray, Sigma]]:
    """Each batch of images, and the part of ``sigma`` that is theirs.

    Raises:
        ConfigError: in the end, there were not as many images as ``sigma``; before, it is wrong in itself.
    """
    check_sigma(bundle, sigma)
    if sigma is None or np.ndim(sigma) == 0:
        yield from ((batch, sigma) for batch in batches)
        return
    levels, seen = np.asarray(sigma), 0
    for batch in batches:
        part = levels[seen : seen + len(batch)]
        seen += len(batch)
        if len(part) < len(batch):
            break
        yield batch, part
    if seen != len(levels):
        many = f"{seen:,}" if seen < len(levels) else "more"
        raise ConfigError(f"sigma is one number, or one for each image: there are {len(levels):,}, and {many} images.")
