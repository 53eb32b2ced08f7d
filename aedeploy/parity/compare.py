"""One output against its reference, in figures that a person can judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aedeploy.parity.tolerances import kind_of, tolerance_of


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How one output of one call compares; true when it passed. Figures are None where they cannot be computed."""

    output: str
    passed: bool
    reason: str | None  # why it failed
    limit: float | None  # the largest max_abs allowed
    max_abs: float | None = None
    mean_abs: float | None = None
    relative: float | None = None  # ‖candidate − reference‖ / ‖reference‖
    cosine: float | None = None
    psnr: float | None = None  # dB, for images; None when they are equal
    changed_pixels: int | None = None  # of 8-bit images
    pixels: int | None = None
    otherwise: int | None = None  # decisions that fell otherwise than the reference's; None where nothing is decided
    decisions: int | None = None

    def __bool__(self) -> bool:
        return self.passed


def compare(
    output: str,
    candidate: np.ndarray,
    reference: np.ndarray,
    judged: np.ndarray | None = None,
    *,
    rounding: float = 0.0,
) -> Comparison:
    """Compare an output, float32 of any shape, with its reference. NaN and infinities fail on either side.

    ``judged``: bool, of the same shape; what is False there is left out of all figures. ``rounding`` widens the limit.
    """
    problem = malformed(candidate, reference)
    if problem:
        return Comparison(output=output, passed=False, reason=problem, limit=None)
    limit = tolerance_of(output).limit(reference) + rounding
    got, want = candidate.astype(np.float64), reference.astype(np.float64)
    if judged is not None:
        got, want = got[judged], want[judged]
    error = np.abs(got - want)
    max_abs = float(error.max(initial=0.0))
    norms = float(np.linalg.norm(got)), float(np.linalg.norm(want))
    passed = max_abs <= limit
    is_image = kind_of(output) == "image"
    mean_square = float(np.mean(error**2)) if error.size else 0.0
    return Comparison(
        output=output,
        passed=passed,
        reason=None if passed else f"max error {max_abs:.2e} is above the tolerance {limit:.2e}",
        limit=limit,
        max_abs=max_abs,
        mean_abs=float(error.mean()) if error.size else 0.0,
        relative=float(np.linalg.norm(error)) / norms[1] if norms[1] else None,
        cosine=float(np.vdot(got, want)) / (norms[0] * norms[1]) if norms[0] and norms[1] else None,
        psnr=float(-10 * np.log10(mean_square)) if is_image and mean_square else None,
        changed_pixels=int(np.count_nonzero(np.rint(got * 255) != np.rint(want * 255))) if is_image else None,
        pixels=error.size if is_image else None,
    )


def malformed(candidate: np.ndarray, reference: np.ndarray) -> str | None:
    """What keeps two arrays from being compared at all; None: nothing."""
    if not np.isfinite(reference).all():
        return "PyTorch itself gives NaN or infinity here"
    if candidate.shape != reference.shape:
        return f"its shape is {list(candidate.shape)} where PyTorch gives {list(reference.shape)}"
    if candidate.dtype != reference.dtype:
        return f"its dtype is {candidate.dtype} where PyTorch gives {reference.dtype}"
    if not np.isfinite(candidate).all():
        return "it has NaN or infinity where PyTorch has none"
    return None
