"""One output against its reference, in figures that a person can judge."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np

from aedeploy.parity.tolerances import FLOAT32, Tolerances, kind_of


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How one output of one call compares; true when it passed. Figures are None where they cannot be computed."""

    output: str
    passed: bool
    reason: str | None  # why it failed
    limit: float | None  # the largest max_abs allowed; None where none is set
    max_abs: float | None = None
    mean_abs: float | None = None
    error_norm: float | None = None  # ‖candidate − reference‖
    reference_norm: float | None = None
    values: int | None = None  # how many were compared
    relative: float | None = None  # ‖candidate − reference‖ / ‖reference‖
    cosine: float | None = None
    psnr: float | None = None  # dB, for images; None when they are equal
    changed_pixels: int | None = None  # of 8-bit images
    pixels: int | None = None
    otherwise: int | None = None  # decisions that fell otherwise than the reference's; None where nothing is decided
    decisions: int | None = None
    gap: float | None = None  # of those that did, the largest: how much worse than the best choice, relatively

    def __bool__(self) -> bool:
        return self.passed


def compare(
    output: str,
    candidate: np.ndarray,
    reference: np.ndarray,
    judged: np.ndarray | None = None,
    *,
    tolerances: Tolerances = FLOAT32,
    rounding: float = 0.0,
) -> Comparison:
    """Compare an output, of any shape, with its reference. NaN and infinities fail on either side.

    Outputs are float32, but for the images of graphs that give uint8: these are held against one another in 1/255, and
    may be one step further apart than the tolerance says.

    ``judged``: bool, of the same shape; what is False there is left out of all figures. ``rounding`` widens the limit.
    """
    problem = malformed(candidate, reference)
    if problem:
        return Comparison(output=output, passed=False, reason=problem, limit=None)
    got, want = candidate.astype(np.float64), reference.astype(np.float64)
    if reference.dtype == np.uint8:
        got, want = got / 255, want / 255
    limit = tolerances.of(output).limit(want)
    if limit is not None:
        limit += rounding
        if reference.dtype == np.uint8:
            # Of two values as near as that, at most so many edges between bytes lie in between. How many pixels are a
            # step apart is judged over all cases.
            limit = (floor(limit * 255) + 1) / 255
    if judged is not None:
        got, want = got[judged], want[judged]
    error = np.abs(got - want)
    max_abs = float(error.max(initial=0.0))
    error_norm = float(np.linalg.norm(error))
    norms = float(np.linalg.norm(got)), float(np.linalg.norm(want))
    passed = limit is None or max_abs <= limit or bool(np.isclose(max_abs, limit, rtol=1e-9, atol=0.0))
    is_image = kind_of(output) == "image"
    mean_square = float(np.mean(error**2)) if error.size else 0.0
    return Comparison(
        output=output,
        passed=passed,
        reason=None if passed else f"max error {max_abs:.2e} is above the tolerance {limit or 0.0:.2e}",
        limit=limit,
        max_abs=max_abs,
        mean_abs=float(error.mean()) if error.size else 0.0,
        error_norm=error_norm,
        reference_norm=norms[1],
        values=error.size,
        relative=error_norm / norms[1] if norms[1] else None,
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
