"""What parity and verify found, for a program and for a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from aedeploy.parity.compare import Comparison
from aedeploy.parity.tolerances import CHANGED_PIXELS


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One call of one graph, every output compared. ``error``: it could not even run."""

    kind: str  # of input: real, black, …
    batch: int
    size: str
    repeats: int = 1  # of each image in the batch
    outputs: tuple[Comparison, ...] = ()
    error: str | None = None

    def __bool__(self) -> bool:
        return self.error is None and all(self.outputs)

    @property
    def reason(self) -> str | None:
        """Why it failed, with the input on which it did."""
        at = f"on {self.kind} images, batch {self.batch}, {self.size}"
        if self.error:
            return f"{at}: {self.error}"
        failed = next((o for o in self.outputs if not o), None)
        return None if failed is None else f"{failed.output} {at}: {failed.reason}"


@dataclass(frozen=True, kw_only=True)
class GraphResult:
    """All cases of one graph. ``role`` is encoder, decoder, autoencoder, or ``encoder→decoder`` for the composition."""

    role: str
    format: str
    backend: str
    cases: tuple[CaseResult, ...]

    def __bool__(self) -> bool:
        return bool(self.cases) and all(self.cases) and not self._too_many_changed

    @property
    def changed_share(self) -> float | None:
        """The share of 8-bit pixels that changed, over all cases; None for a graph that gives no image.

        An image that a batch repeats counts once: one pixel on the edge between two bytes would else be many.
        """
        compared = [(o, c.repeats) for c in self.cases for o in c.outputs if o.pixels]
        pixels = sum((o.pixels or 0) / repeats for o, repeats in compared)
        return sum((o.changed_pixels or 0) / repeats for o, repeats in compared) / pixels if pixels else None

    @property
    def decisions(self) -> tuple[int, int] | None:
        """How many indices or masked entries came out otherwise, and of how many, over all cases; None without any."""
        counted = [o for c in self.cases for o in c.outputs if o.decisions]
        return (sum(o.otherwise or 0 for o in counted), sum(o.decisions or 0 for o in counted)) if counted else None

    @property
    def _too_many_changed(self) -> bool:
        return (self.changed_share or 0.0) > CHANGED_PIXELS

    @property
    def reason(self) -> str | None:
        """Why it failed: the first case that did."""
        if not self.cases:
            return "nothing was compared"
        first = next((case.reason for case in self.cases if not case), None)
        if first is None and self._too_many_changed:
            return f"{self.changed_share:.2%} of the 8-bit pixels change, above {CHANGED_PIXELS:.2%}"
        return first

    def worst(self) -> Iterator[Comparison]:
        """For each output, the comparison that failed, or came nearest to its limit."""
        names = dict.fromkeys(o.output for c in self.cases for o in c.outputs)
        for name in names:
            yield max((o for c in self.cases for o in c.outputs if o.output == name), key=_badness)

    def as_dict(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "format": self.format,
            "backend": self.backend,
            "passed": bool(self),
            "reason": self.reason,
            "changed_pixels_share": self.changed_share,
            "decided_otherwise": self.decisions and self.decisions[0],
            "decisions": self.decisions and self.decisions[1],
            "worst": [asdict(comparison) for comparison in self.worst()],
            "cases": [{**asdict(case), "passed": bool(case)} for case in self.cases],
        }


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """Every graph that was checked; true when all passed."""

    bundle: str
    reference: str
    graphs: tuple[GraphResult, ...]

    def __bool__(self) -> bool:
        return bool(self.graphs) and all(self.graphs)

    def passed(self, role: str, format: str) -> bool:
        """Whether a graph passed, alone and in composition (which is held against the parts that compose it)."""
        roles = {role} if role == "autoencoder" else {role, COMPOSED}
        return all(graph for graph in self.graphs if graph.format == format and graph.role in roles)

    def failures(self) -> list[str]:
        """A sentence for each graph that failed."""
        return [f"{g.format} {g.role}: {g.reason}" for g in self.graphs if not g]

    def as_dict(self) -> dict[str, Any]:
        return {
            "bundle": self.bundle,
            "passed": bool(self),
            "reference": self.reference,
            "results": [graph.as_dict() for graph in self.graphs],
        }


#: The role under which encoder and decoder, composed, are held against the whole autoencoder.
COMPOSED = "encoder→decoder"


def _badness(comparison: Comparison) -> tuple[bool, float, float]:
    """Failed or not, then by the share of decisions, then by the error."""
    share = (comparison.otherwise or 0) / comparison.decisions if comparison.decisions else 0.0
    if comparison.max_abs is None or not comparison.limit:
        return not comparison.passed, share, 0.0
    return not comparison.passed, share, comparison.max_abs / comparison.limit
