"""What parity found, for a program and for a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from aedeploy.bundle.manifest import Pixels, variant_name
from aedeploy.parity.compare import Comparison
from aedeploy.parity.overall import Overall, overall
from aedeploy.parity.tolerances import FLOAT32, Tolerances

#: The role under which encoder and decoder, composed, are held against the whole autoencoder.
COMPOSED = "encoder→decoder"

#: The roles under which image files go through the Codec, and are held against Pillow and PyTorch alone.
FILE_ENCODED = "file→latent"
FILE_RECONSTRUCTED = "file→image"

_OF_ROLE = {
    "encoder": {"encoder", COMPOSED, FILE_ENCODED},
    "decoder": {"decoder", COMPOSED},
    "autoencoder": {"autoencoder", FILE_RECONSTRUCTED},
}


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One call of one graph, every output compared. ``error``: it could not even run."""

    kind: str  # of input: real, black, …
    batch: int
    size: str
    repeats: int = 1  # of each image in the batch
    judged: bool = True  # by figures; else an output need only be finite and well shaped
    outputs: tuple[Comparison, ...] = ()
    error: str | None = None

    def __bool__(self) -> bool:
        return self.error is None and all(self.outputs)

    @property
    def reason(self) -> str | None:
        """Why it failed, with the input on which it did."""
        what = self.kind if self.kind.endswith("files") else f"{self.kind} images"
        at = f"on {what}, batch {self.batch}, {self.size}"
        if self.error:
            return f"{at}: {self.error}"
        failed = next((o for o in self.outputs if not o), None)
        return None if failed is None else f"{failed.output} {at}: {failed.reason}"


@dataclass(frozen=True, kw_only=True)
class GraphResult:
    """All cases of one graph, or of two in a row.

    ``role`` is encoder, decoder, autoencoder; ``encoder→decoder`` for the composition; ``file→latent`` or
    ``file→image`` for image files through the Codec.
    """

    role: str
    format: str
    backend: str
    pixels: Pixels = "float32"
    decoder: tuple[str, Pixels] | None = None  # of a composition across formats: what decodes
    cases: tuple[CaseResult, ...]
    tolerances: Tolerances = FLOAT32
    overrides: Mapping[str, float] = field(default_factory=dict)  # what of them is not the usual
    decoded_error: float | None = None  # of an encoder: the largest of images whose choices fell otherwise, decoded

    @property
    def variant(self) -> str:
        """Format and pixels, for a person."""
        return variant_name(self.format, self.pixels)

    @property
    def name(self) -> str:
        """Variant and role, for a person."""
        if self.decoder is None:
            return f"{self.variant} {self.role}"
        return f"{self.variant} encoder→{variant_name(*self.decoder)} decoder"

    def __bool__(self) -> bool:
        return bool(self.cases) and all(self.cases) and not any(self._problems)

    @cached_property
    def overall(self) -> dict[str, Overall]:
        """By output, what is judged over all cases together."""
        judged = [(o, case.repeats) for case in self.cases if case.judged for o in case.outputs]
        names = dict.fromkeys(found.output for found, _ in judged if found.output != "indices")
        return {name: overall(name, [(o, repeats) for o, repeats in judged if o.output == name]) for name in names}

    @property
    def changed_share(self) -> float | None:
        """The share of 8-bit pixels that changed, over all judged cases; None for a graph that gives no image."""
        return next((o.changed_share for o in self.overall.values() if o.changed_share is not None), None)

    @property
    def decisions(self) -> tuple[int, int] | None:
        """How many indices or masked entries came out otherwise, and of how many, over all cases; None without any."""
        counted = [o for c in self.cases for o in c.outputs if o.decisions]
        return (sum(o.otherwise or 0 for o in counted), sum(o.decisions or 0 for o in counted)) if counted else None

    @property
    def gap(self) -> float | None:
        """Of the decisions that fell otherwise, how much worse the worst is than the best choice, relatively."""
        return max((o.gap for c in self.cases for o in c.outputs if o.gap is not None), default=None)

    @property
    def _problems(self) -> Iterator[str]:
        for found in self.overall.values():
            problem = found.problem(self.tolerances)
            if problem:
                yield f"{found.output}: {problem}"

    @property
    def reason(self) -> str | None:
        """Why it failed: the first case that did."""
        if not self.cases:
            return "nothing was compared"
        first = next((case.reason for case in self.cases if not case), None)
        return first or next(self._problems, None)

    def worst(self) -> Iterator[Comparison]:
        """For each output, the comparison that failed, or came nearest to its limit."""
        # Of a call that is not judged only what failed counts: its figures say nothing.
        compared = [(c, o) for c in self.cases for o in c.outputs]
        for name in dict.fromkeys(o.output for _, o in compared):
            own = [(c, o) for c, o in compared if o.output == name]
            counting = [o for c, o in own if c.judged or not o] or [o for _, o in own]
            yield max(counting, key=_badness)

    def as_dict(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "format": self.format,
            "pixels": self.pixels,
            "decoder": self.decoder and variant_name(*self.decoder),
            "backend": self.backend,
            "passed": bool(self),
            "reason": self.reason,
            "tolerances": self.tolerances.as_dict(),
            "overrides": dict(self.overrides),
            "changed_pixels_share": self.changed_share,
            "psnr": _finite(next((o.psnr for o in self.overall.values() if o.psnr is not None), None)),
            "relative": {name: found.relative for name, found in self.overall.items()},
            "decided_otherwise": self.decisions and self.decisions[0],
            "decisions": self.decisions and self.decisions[1],
            "gap": self.gap,
            "decoded_error": self.decoded_error,
            "worst": [asdict(comparison) for comparison in self.worst()],
            "cases": [{**asdict(case), "passed": bool(case)} for case in self.cases],
        }


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """Every graph that was checked; true when all passed."""

    bundle: str
    reference: str
    graphs: tuple[GraphResult, ...]
    overrides: Mapping[str, float] = field(default_factory=dict)  # tolerances that are not the usual ones

    def __bool__(self) -> bool:
        return bool(self.graphs) and all(self.graphs)

    def passed(self, role: str, format: str, pixels: Pixels = "float32") -> bool:
        """Whether a graph passed, alone and wherever it takes part."""
        return all(graph for graph in self.graphs if _takes_part(graph, role, (format, pixels)))

    def failures(self) -> list[str]:
        """A sentence for each graph that failed."""
        return [f"{graph.name}: {graph.reason}" for graph in self.graphs if not graph]

    def as_dict(self) -> dict[str, Any]:
        return {
            "bundle": self.bundle,
            "passed": bool(self),
            "reference": self.reference,
            "overrides": dict(self.overrides),
            "results": [graph.as_dict() for graph in self.graphs],
        }


def _takes_part(graph: GraphResult, role: str, variant: tuple[str, Pixels]) -> bool:
    first = (graph.format, graph.pixels)
    if graph.decoder is not None:
        # Either half may be what is wrong: it is tried only with what is right by itself.
        return (role == "encoder" and first == variant) or (role == "decoder" and graph.decoder == variant)
    return first == variant and graph.role in _OF_ROLE[role]


def _finite(value: float | None) -> float | None:
    return None if value is None or value == float("inf") else value


def _badness(comparison: Comparison) -> tuple[bool, float, float]:
    """Failed or not, then by the share of decisions, then by the error."""
    share = (comparison.otherwise or 0) / comparison.decisions if comparison.decisions else 0.0
    if comparison.max_abs is None:
        return not comparison.passed, share, 0.0
    return (
        not comparison.passed,
        share,
        comparison.max_abs / comparison.limit if comparison.limit else comparison.max_abs,
    )
