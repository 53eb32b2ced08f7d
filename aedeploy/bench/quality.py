"""What a variant's reconstructions lose against PyTorch's, on images that the model was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.bundle.golden import load_golden, load_samples
from aedeploy.images.pixels import to_floats


@dataclass(frozen=True, kw_only=True)
class Quality:
    """``max_error``: the largest difference to PyTorch's reconstruction, in [0, 1] units; ``psnr_lost``: how many dB
    less the reconstruction has, against the original images. None: it cannot be told."""

    max_error: float | None
    psnr_lost: float | None


def originals(bundle: Bundle) -> np.ndarray:
    """The held-out images of a bundle, float32 [N, C, H, W] in [0, 1]."""
    return to_floats(load_samples(bundle.file(bundle.manifest.golden)))


def golden_reconstructions(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    """Images and what PyTorch once made of them, float32 [N, C, H, W] both: for where there is no PyTorch."""
    cases = [case for case in load_golden(bundle.file(bundle.manifest.golden)) if case.role == "autoencoder"]
    case = max(cases, key=lambda case: case.batch)
    return case.inputs["image"], case.outputs["reconstruction"]


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
