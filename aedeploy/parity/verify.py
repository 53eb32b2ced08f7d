"""Is this bundle whole, and does it still compute what it did? Checksums and golden vectors; needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from math import isinf
from typing import Any

import numpy as np

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.golden import GoldenCase, load_golden
from aedeploy.bundle.manifest import Role
from aedeploy.errors import AedeployError, IntegrityError
from aedeploy.parity.compare import Comparison
from aedeploy.parity.decisions import OtherChoice, compare_all, rows_decided_otherwise
from aedeploy.parity.overall import overall
from aedeploy.parity.tolerances import Tolerances, tolerances_of
from aedeploy.runtime.codec import in_bytes
from aedeploy.runtime.open import is_runnable, open_graph
from aedeploy.runtime.program import SkippedError
from aedeploy.runtime.runner import GraphRunner

#: Opens the runner of a role.
OpenRole = Callable[[Role], GraphRunner]


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """One thing that was looked at. ``passed`` None: it could not be looked at here, and ``reason`` says why."""

    check: str  # "file" or "golden"
    subject: str  # the file, or the graph as "onnx encoder"
    passed: bool | None
    reason: str | None = None
    batch: int | None = None  # None: all batches together
    output: str | None = None
    max_abs: float | None = None
    limit: float | None = None
    psnr: float | None = None  # dB, of images; None when they are equal
    relative: float | None = None  # ‖candidate − golden‖ / ‖golden‖
    otherwise: int | None = None  # decisions, such as indices, that fell otherwise, of so many
    decisions: int | None = None


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """Everything that was looked at; true when nothing failed."""

    bundle: str
    results: tuple[VerifyResult, ...]
    #: By graph, the tolerances that its parity check was given in place of the usual: it is verified by the same.
    overrides: dict[str, dict[str, float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return all(result.passed is not False for result in self.results)

    def failures(self) -> list[str]:
        return [f"{r.subject}: {r.reason}" for r in self.results if r.passed is False]

    def as_dict(self) -> dict[str, Any]:
        return {
            "bundle": self.bundle,
            "passed": bool(self),
            "overrides": self.overrides,
            "results": [asdict(result) for result in self.results],
        }


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
    overrides = {_subject(graph): dict(graph.tolerances) for graph in bundle.manifest.graphs if graph.tolerances}
    return VerifyReport(bundle=bundle.name, results=tuple(results), overrides=overrides)


def _files(bundle: Bundle) -> Iterator[VerifyResult]:
    for record in bundle.files():
        try:
            bundle.file(record)
            yield VerifyResult(check="file", subject=record.path, passed=True)
        except IntegrityError as error:
            yield VerifyResult(check="file", subject=record.path, passed=False, reason=str(error))


def _subject(graph: GraphRecord) -> str:
    return f"{graph.variant} {graph.role}"


def _golden(bundle: Bundle, graph: GraphRecord, golden: list[GoldenCase]) -> Iterator[VerifyResult]:
    if graph.parity == "failed":
        yield _found(graph, False, "its parity check failed when it was exported")
    elif not is_runnable(graph.format):
        yield _found(graph, None, f"not run: nothing installed here runs {graph.format}")
    else:
        yield from golden_results(
            bundle, graph, golden, lambda role: open_graph(bundle, role, format=graph.format, pixels=graph.pixels)
        )


def golden_results(
    bundle: Bundle, graph: GraphRecord, golden: list[GoldenCase], open_role: OpenRole
) -> Iterator[VerifyResult]:
    """A graph's golden vectors through whatever ``open_role`` opens for a role, by the graph's own tolerances."""
    if graph.pixels == "uint8":
        golden = [_of_bytes(case) for case in golden]
    cases = [case for case in golden if case.role == graph.role]

    if not cases:
        yield _found(graph, False, f"the bundle has no golden vectors for the {graph.role}")
        return
    try:
        with open_role(graph.role) as runner:
            yield from _GraphCheck(bundle, graph, runner, golden, open_role).results(cases)
    except SkippedError as error:
        yield _found(graph, None, f"skipped: {error}")
    except AedeployError as error:
        yield _found(graph, False, str(error))


def _found(graph: GraphRecord, passed: bool | None, reason: str | None) -> VerifyResult:
    return VerifyResult(check="golden", subject=_subject(graph), passed=passed, reason=reason)


def _of_bytes(case: GoldenCase) -> GoldenCase:
    """The same case for a graph whose images are uint8 [batch, H, W, C]."""
    return replace(case, inputs=in_bytes(case.inputs), outputs=in_bytes(case.outputs))


class _GraphCheck:
    """The golden vectors through one opened graph."""

    def __init__(
        self,
        bundle: Bundle,
        graph: GraphRecord,
        runner: GraphRunner,
        golden: list[GoldenCase],
        open_role: OpenRole,
    ) -> None:
        self._graph, self._runner, self._golden, self._open_role = graph, runner, golden, open_role
        # Those by which parity judged it: golden images are real ones.
        self._tolerances: Tolerances = tolerances_of(graph.format, graph.tolerances).on("golden")
        # Then one bound is for all calls, and no single one fails.
        self._quantised = graph.quantisation is not None
        self._masked = bundle.manifest.latent is not None and bundle.manifest.latent.masked

    def results(self, cases: list[GoldenCase]) -> Iterator[VerifyResult]:
        compared: list[Comparison] = []
        for case in cases:
            got = self._runner.run(case.inputs)
            if set(got) != set(case.outputs):
                has, gives = ", ".join(sorted(case.outputs)), ", ".join(sorted(got)) or "nothing"
                reason = f"the golden vectors have {has}, the graph gives {gives}"
                yield self._result(passed=False, reason=reason, batch=case.batch)
                continue
            found = compare_all(got, case.outputs, masked=self._masked, tolerances=self._tolerances)
            if self._graph.role == "autoencoder" and (not all(found) or self._quantised):
                other = self._decided_otherwise(case)
                if other is not None:
                    wanted = other.expected(got, case.outputs)
                    found = compare_all(got, wanted, masked=False, tolerances=self._tolerances)
            compared += found
            yield from (self._of_case(one, case.batch) for one in found)
        for output in dict.fromkeys(one.output for one in compared if one.output != "indices"):
            together = overall(output, [(one, 1) for one in compared if one.output == output])
            problem = together.problem(self._tolerances, few=True)
            bound = self._tolerances.of(output)
            if problem or bound.norm is not None or bound.psnr is not None:
                yield self._result(
                    passed=problem is None,
                    reason=problem and f"{output} of all batches: {problem}",
                    output=output,
                    psnr=None if together.psnr is None or isinf(together.psnr) else together.psnr,
                    relative=together.relative,
                )

    def _result(self, **found: Any) -> VerifyResult:
        return VerifyResult(check="golden", subject=_subject(self._graph), **found)

    def _of_case(self, compared: Comparison, batch: int) -> VerifyResult:
        return self._result(
            passed=compared.passed,
            reason=compared.reason and f"{compared.output} at batch {batch}: {compared.reason}",
            batch=batch,
            output=compared.output,
            max_abs=compared.max_abs,
            limit=compared.limit,
            psnr=compared.psnr,
            relative=compared.relative,
            otherwise=compared.otherwise,
            decisions=compared.decisions,
        )

    def _decided_otherwise(self, whole: GoldenCase) -> OtherChoice | None:
        """In which images a sound encoder decides otherwise here, and what the decoder beside it makes of them.

        None: in none, or the encoder is not sound. The decoder is: it has golden vectors of its own.
        """
        case = next((c for c in self._golden if c.role == "encoder" and c.batch == whole.batch), None)
        if case is None or not (self._masked or "indices" in case.outputs):
            return None
        if not np.array_equal(case.inputs["image"], whole.inputs["image"]):
            return None
        with ExitStack() as stack:
            try:
                encoder = stack.enter_context(self._open_role("encoder"))
                decoder = stack.enter_context(self._open_role("decoder"))
                codes = encoder.run(case.inputs)
                if set(codes) != set(case.outputs):
                    return None
                if not all(compare_all(codes, case.outputs, masked=self._masked, tolerances=self._tolerances)):
                    return None
                rows = rows_decided_otherwise(codes, case.outputs)
                if not rows.any():
                    return None
                return OtherChoice(rows=rows, images=decoder.run({"latent": codes["latent"][rows]})["image"])
            except AedeployError:
                return None
