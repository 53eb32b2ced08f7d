"""What a variant's reconstructions lose against PyTorch's, on images that the model was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.bundle.golden import Arrays, load_golden, load_samples
from aedeploy.bundle.manifest import SIGMA
from aedeploy.images.noise import noisy, sigma_maps
from aedeploy.images.pixels import to_floats


@dataclass(frozen=True, kw_only=True)
class Quality:
    """``max_error``: the largest difference to PyTorch's reconstruction, in [0, 1] units; ``psnr_lost``: how many dB
    less the reconstruction has, against the original images. None: it cannot be told."""

    max_error: float | None
    psnr_lost: float | None


def originals(bundle: Bundle) -> tuple[np.ndarray, Arrays]:
    """The held-out images of a bundle, float32 [N, C, H, W] in [0, 1], and what an autoencoder is given for them.

    One that is told the noise is given them with some, and how much: what it makes of clean images says little.
    """
    samples = load_samples(bundle.file(bundle.manifest.golden))
    images, noise = to_floats(samples), bundle.manifest.noise
    if noise is None:
        return images, {"image": images}
    count, height, width, _ = samples.shape
    sigma = sigma_maps(count, height, width, noise.maximum)
    return images, {"image": to_floats(noisy(samples, sigma)), SIGMA: sigma}


def golden_reconstructions(bundle: Bundle) -> tuple[np.ndarray, Arrays, np.ndarray]:
    """As :func:`originals`, and what PyTorch once made of it, float32 [N, C, H, W]: for where there is no PyTorch."""
    golden = bundle.file(bundle.manifest.golden)
    case = max((case for case in load_golden(golden) if case.role == "autoencoder"), key=lambda case: case.batch)
    images = case.inputs["image"]
    if bundle.manifest.noise is not None:
        # The noisy ones are of the first samples, as large as they are.
        height, width = images.shape[2:]
        images = to_floats(np.take(load_samples(golden), range(case.batch), axis=0, mode="wrap"))[..., :height, :width]
    return images, case.inputs, case.outputs["reconstruction"]


def compare(originals: np.ndarray, reference: np.ndarray, candidate: np.ndarray) -> Quality:
    """All float32 [N, C, H, W]; ``reference`` is PyTorch's reconstruction of ``originals``."""
    if candidate.shape != reference.shape or not np.isfinite(candidate).all() or not np.isfinite(reference).all():
        return Quality(max_error=None, psnr_lost=None)
    error = np.abs(candidate.astype(np.float64) - reference.astype(np.float64)).max(initial=0.0)
    there, here = _mean_square(originals, reference), _mean_square(originals, candidate)
    lost = 10 * float(np.log10(here / there)) if here and there else (0.0 if here == there else None)
    return Quality(max_error=float(error), psnr_lost=lost)


def _mean_square(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
