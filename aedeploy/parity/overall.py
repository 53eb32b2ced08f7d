"""What is judged over all calls of a graph together: a share of pixels, a PSNR, a relative L2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log10, sqrt

from aedeploy.parity.compare import Comparison
from aedeploy.parity.tolerances import Tolerances, kind_of

#: How much larger the squared error of few images may be than what is allowed of many.
SLACK_OF_FEW = 2.0

#: As many pixels may change whatever the share: where few were compared, one is a large one.
_FEW_PIXELS = 2


@dataclass(frozen=True, kw_only=True)
class Overall:
    """All calls of one output of one graph. Figures are None where nothing was compared."""

    output: str
    relative: float | None  # ‖candidate − reference‖ / ‖reference‖
    psnr: float | None  # dB, of images; infinite when they are equal
    changed: float  # of 8-bit pixels, how many
    values: float  # how many were compared

    @property
    def changed_share(self) -> float | None:
        """The share of 8-bit pixels that changed; None of what is no image."""
        return None if self.psnr is None else self.changed / self.values

    def problem(self, tolerances: Tolerances, *, few: bool = False) -> str | None:
        """What of it is beyond tolerance. Of ``few`` images, such as golden ones, more may be: ``SLACK_OF_FEW``."""
        allowed = tolerances.of(self.output)
        slack = SLACK_OF_FEW if few else 1.0
        if allowed.psnr is not None and self.psnr is not None and self.psnr < allowed.psnr - 10 * log10(slack):
            return (
                f"{self.psnr:.1f} dB over all inputs is below the tolerance {allowed.psnr - 10 * log10(slack):.1f} dB"
            )
        norm = None if allowed.norm is None else allowed.norm * sqrt(slack)
        if norm is not None and self.relative is not None and self.relative > norm:
            return f"a relative L2 of {self.relative:.1e} over all inputs is above the tolerance {norm:.1e}"
        most = tolerances.changed_pixels
        if most is not None and self.changed_share is not None and self.changed > max(most * self.values, _FEW_PIXELS):
            return f"{self.changed_share:.2%} of the 8-bit pixels change, above {most:.2%}"
        return None


def overall(output: str, calls: Sequence[tuple[Comparison, int]]) -> Overall:
    """Of comparisons of ``output``, each with how often every image stands in its batch.

    An image that a batch repeats counts once: one pixel on the edge between two bytes would else be many.
    """
    compared = [(found, repeats) for found, repeats in calls if found.values]
    values = sum((found.values or 0) / repeats for found, repeats in compared)
    squares = sum((found.error_norm or 0.0) ** 2 / repeats for found, repeats in compared)
    reference = sum((found.reference_norm or 0.0) ** 2 / repeats for found, repeats in compared)
    changed = sum((found.changed_pixels or 0) / repeats for found, repeats in compared)
    image = kind_of(output) == "image" and values > 0
    return Overall(
        output=output,
        relative=sqrt(squares / reference) if reference else None,
        psnr=(-10 * log10(squares / values) if squares else inf) if image else None,
        changed=changed,
        values=values,
    )
