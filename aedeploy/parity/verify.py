"""Is this bundle whole, and does it still compute what it did? Checksums and golden vectors; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.golden import GoldenCase, load_golden
from aedeploy.errors import AedeployError, IntegrityError
from aedeploy.names import load_named
from aedeploy.parity.compare import compare
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
                results += _golden(bundle, graph, [case for case in cases if case.role == graph.role])
    return VerifyReport(bundle=bundle.name, results=tuple(results))


def _files(bundle: Bundle) -> Iterator[VerifyResult]:
    for record in bundle.files():
        try:
            bundle.file(record)
            yield VerifyResult(check="file", subject=record.path, passed=True)
        except IntegrityError as error:
            yield VerifyResult(check="file", subject=record.path, passed=False, reason=str(error))


def _golden(bundle: Bundle, graph: GraphRecord, cases: list[GoldenCase]) -> Iterator[VerifyResult]:
    subject = f"{graph.format} {graph.role}"

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
    try:
        with open_graph(bundle, graph.role, backend=backend) as runner:
            for case in cases:
                yield from _golden_case(subject, runner, case)
    except AedeployError as error:
        yield found(False, str(error))


def _golden_case(subject: str, runner: GraphRunner, case: GoldenCase) -> Iterator[VerifyResult]:
    got = runner.run(case.inputs)
    if set(got) != set(case.outputs):
        missing = f"the golden vectors have {', '.join(sorted(case.outputs))}, the graph gives {', '.join(sorted(got))}"
        yield VerifyResult(check="golden", subject=subject, passed=False, reason=missing, batch=case.batch)
        return
    for name, wanted in case.outputs.items():
        compared = compare(name, got[name], wanted)
        yield VerifyResult(
            check="golden",
            subject=subject,
            passed=compared.passed,
            reason=compared.reason and f"{name} at batch {case.batch}: {compared.reason}",
            batch=case.batch,
            output=name,
            max_abs=compared.max_abs,
            limit=compared.limit,
        )


def _installed_backend(format: str) -> str | None:
    for name in backend_names():
        backend = load_named(BACKENDS, name, "backend")
        if format == backend.FORMAT and not backend.missing():
            return name
    return None
