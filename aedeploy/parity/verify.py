"""Is this bundle whole, and does it still compute what it did? Checksums and golden vectors; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.golden import GoldenCase, load_golden
from aedeploy.errors import AedeployError, IntegrityError
from aedeploy.names import load_named
from aedeploy.parity.decisions import OtherChoice, compare_all, rows_decided_otherwise
from aedeploy.runtime.open import BACKENDS, backend_names, open_graph
from aedeploy.runtime.runner import GraphRunner


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """One thing that was looked at. ``passed`` None: it could not be looked at here, and ``reason`` says why."""

    check: str  # "file" or "golden"
    subject: str  # the file, or the graph as "onnx encoder"
    passed: bool | None
    reason: str | None = None
    batch: int | None = None
    output: str | None = None
    max_abs: float | None = None
    limit: float | None = None
    otherwise: int | None = None  # decisions, such as indices, that fell otherwise, of so many
    decisions: int | None = None


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """Everything that was looked at; true when nothing failed."""

    bundle: str
    results: tuple[VerifyResult, ...]

    def __bool__(self) -> bool:
        return all(result.passed is not False for result in self.results)

    def failures(self) -> list[str]:
        return [f"{r.subject}: {r.reason}" for r in self.results if r.passed is False]

    def as_dict(self) -> dict[str, Any]:
        return {"bundle": self.bundle, "passed": bool(self), "results": [asdict(result) for result in self.results]}


def verify_bundle(bundle: Bundle) -> VerifyReport:
    """Check every file's digest, then run the golden vectors through every graph whose engine is installed."""
    results = [*_files(bundle)]
    golden = bundle.manifest.golden.path
    if all(result.passed for result in results if result.subject == golden):
        try:
            cases = load_golden(bundle.file(bundle.manifest.golden))
        except IntegrityError as error:
            results.append(VerifyResult(check="golden", subject=golden, passed=False, reason=str(error)))
        else:
            for graph in bundle.manifest.graphs:
                results += _golden(bundle, graph, cases)
    return VerifyReport(bundle=bundle.name, results=tuple(results))


def _files(bundle: Bundle) -> Iterator[VerifyResult]:
    for record in bundle.files():
        try:
            bundle.file(record)
            yield VerifyResult(check="file", subject=record.path, passed=True)
        except IntegrityError as error:
            yield VerifyResult(check="file", subject=record.path, passed=False, reason=str(error))


def _golden(bundle: Bundle, graph: GraphRecord, golden: list[GoldenCase]) -> Iterator[VerifyResult]:
    subject = f"{graph.format} {graph.role}"
    cases = [case for case in golden if case.role == graph.role]

    def found(passed: bool | None, reason: str | None) -> VerifyResult:
        return VerifyResult(check="golden", subject=subject, passed=passed, reason=reason)

    if graph.parity == "failed":
        yield found(False, "its parity check failed when it was exported")
        return
    if not cases:
        yield found(False, f"the bundle has no golden vectors for the {graph.role}")
        return
    backend = _installed_backend(graph.format)
    if backend is None:
        yield found(None, f"not run: nothing installed here runs {graph.format}")
        return
    masked = bundle.manifest.latent is not None and bundle.manifest.latent.masked
    try:
        with open_graph(bundle, graph.role, backend=backend) as runner:
            for case in cases:
                results = list(_golden_case(subject, runner, case, masked))
                if graph.role == "autoencoder" and any(result.passed is False for result in results):
                    other = _decided_otherwise(bundle, graph.format, backend, case, golden, masked)
                    results = list(_golden_case(subject, runner, case, masked, other))
                yield from results
    except AedeployError as error:
        yield found(False, str(error))


def _golden_case(
    subject: str, runner: GraphRunner, case: GoldenCase, masked: bool, other: OtherChoice | None = None
) -> Iterator[VerifyResult]:
    got = runner.run(case.inputs)
    if set(got) != set(case.outputs):
        missing = f"the golden vectors have {', '.join(sorted(case.outputs))}, the graph gives {', '.join(sorted(got))}"
        yield VerifyResult(check="golden", subject=subject, passed=False, reason=missing, batch=case.batch)
        return
    wanted = case.outputs if other is None else other.expected(got, case.outputs)
    for compared in compare_all(got, wanted, masked=masked):
        yield VerifyResult(
            check="golden",
            subject=subject,
            passed=compared.passed,
            reason=compared.reason and f"{compared.output} at batch {case.batch}: {compared.reason}",
            batch=case.batch,
            output=compared.output,
            max_abs=compared.max_abs,
            limit=compared.limit,
            otherwise=compared.otherwise,
            decisions=compared.decisions,
        )


def _decided_otherwise(
    bundle: Bundle, format: str, backend: str, whole: GoldenCase, golden: list[GoldenCase], masked: bool
) -> OtherChoice | None:
    """In which images a sound encoder decides otherwise here, and what the decoder beside it makes of them.

    None: in none, or the encoder is not sound. The decoder is: it has golden vectors of its own.
    """
    case = next((c for c in golden if c.role == "encoder" and c.batch == whole.batch), None)
    if case is None or not np.array_equal(case.inputs["image"], whole.inputs["image"]):
        return None
    with ExitStack() as stack:
        try:
            encoder, decoder = (
                stack.enter_context(open_graph(bundle, role, backend=backend)) for role in ("encoder", "decoder")
            )
            codes = encoder.run(case.inputs)
            if set(codes) != set(case.outputs) or not all(compare_all(codes, case.outputs, masked=masked)):
                return None
            rows = rows_decided_otherwise(codes, case.outputs)
            return OtherChoice(rows=rows, images=decoder.run({"latent": codes["latent"][rows]})["image"])
        except AedeployError:
            return None


def _installed_backend(format: str) -> str | None:
    for name in backend_names():
        backend = load_named(BACKENDS, name, "backend")
        if format == backend.FORMAT and not backend.missing():
            return name
    return None
