"""Every exported graph of a bundle against the eager model, each alone and encoder → decoder composed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.bundle.card import write_card
from aedeploy.bundle.golden import load_samples
from aedeploy.bundle.manifest import ROLES
from aedeploy.bundle.store import PARITY_FILE, changing
from aedeploy.errors import AedeployError, BackendError, BundleError, MissingDependencyError, UnknownNameError
from aedeploy.files import write_json
from aedeploy.names import load_named
from aedeploy.parity.decisions import OtherChoice, compare_all, rows_decided_otherwise
from aedeploy.parity.inputs import BATCHES, ImageCase, image_cases, latents_like
from aedeploy.parity.report import COMPOSED, CaseResult, GraphResult, ParityReport
from aedeploy.parity.tolerances import MOST_ROUNDING, ROUNDING_FACTOR
from aedeploy.runtime.open import BACKENDS, backend_names, open_graph
from aedeploy.runtime.runner import Arrays, GraphRunner

REFERENCE = "eager"

#: A call of one graph or of two in a row: named arrays in, named arrays out.
Call = Callable[[Mapping[str, np.ndarray]], Arrays]


def backend_of(format: str) -> str:
    """The backend that runs a format's graphs.

    Raises:
        BackendError: none does.
        MissingDependencyError: it is not installed.
    """
    for name in backend_names():
        backend = load_named(BACKENDS, name, "backend")
        if format == backend.FORMAT:
            if backend.missing():
                raise MissingDependencyError(backend.missing(), name, f"Checking {format} graphs")
            return name
    raise BackendError(f"No backend runs {format} graphs, so they cannot be checked.")


def check_parity(
    bundle: Bundle, formats: Sequence[str] | None = None, samples_NHWC: np.ndarray | None = None
) -> ParityReport:
    """Run every graph of ``formats`` (default: all that the bundle has) in a freshly opened session, and compare.

    ``samples_NHWC``: real images, uint8 [N, H, W, C] of the training size; by default those in the bundle.

    Raises:
        BundleError: the bundle has no graph in one of the formats.
        MissingDependencyError: torch, or what runs a format, is not installed.
    """
    have = sorted({graph.format for graph in bundle.manifest.graphs})
    known = {load_named(BACKENDS, name, "backend").FORMAT for name in backend_names()} - {None}
    for format in formats or have:
        if format not in known:
            raise UnknownNameError("format", format, known)
        if format not in have:
            raise BundleError(
                f"Bundle {bundle.name!r} has no {format} graphs (it has {', '.join(have) or 'none'}): "
                f"run  aedeploy export {shlex.quote(str(bundle.path))} --format {format}"
            )
    if not have:
        raise BundleError(
            f"Bundle {bundle.name!r} has no exported graph: run  aedeploy export {shlex.quote(str(bundle.path))}"
        )
    if samples_NHWC is None:
        samples_NHWC = load_samples(bundle.file(bundle.manifest.golden))
    cases = list(image_cases(bundle.manifest.image, samples_NHWC))
    with ExitStack() as stack:
        rounding = Rounding(bundle)
        roles = ROLES if bundle.manifest.latent else ("autoencoder",)
        reference: dict[str, GraphRunner] = {
            role: stack.enter_context(open_graph(bundle, role, backend=REFERENCE)) for role in roles
        }
        expected = _expected(reference, cases)
        results = [
            r for format in formats or have for r in _check_format(bundle, format, reference, expected, rounding)
        ]
    return ParityReport(bundle=bundle.name, reference=REFERENCE, graphs=tuple(results))


def record_parity(bundle: Bundle, report: ParityReport) -> Bundle:
    """Write ``parity.json``, and the verdict on each checked graph into the manifest and the model card."""
    formats = {graph.format for graph in report.graphs}
    checked = {(graph.format, graph.role): graph.file for graph in bundle.manifest.graphs if graph.format in formats}
    with changing(bundle) as current:
        write_json(bundle.path / PARITY_FILE, report.as_dict())
        recorded = current.with_graphs(
            graph.model_copy(update={"parity": "passed" if report.passed(graph.role, graph.format) else "failed"})
            for graph in current.manifest.graphs
            # One that was exported again meanwhile is not the one that was checked.
            if checked.get((graph.format, graph.role)) == graph.file
        )
        write_card(recorded)
    return recorded


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One call to make and what must come out: what is in it, the inputs, the reference's outputs."""

    case: ImageCase
    inputs: Arrays
    wanted: Arrays


def _expected(reference: Mapping[str, GraphRunner], cases: Iterable[ImageCase]) -> dict[str, list[Expectation]]:
    """What the reference makes of every case, by role; the composition is expected to give the whole's result."""
    expected: dict[str, list[Expectation]] = {role: [] for role in reference}

    def expect(role: str, case: ImageCase, inputs: Arrays, wanted: Arrays) -> None:
        expected.setdefault(role, []).append(Expectation(case=case, inputs=inputs, wanted=wanted))

    for case in cases:
        image = {"image": case.images_BCHW}
        whole = reference["autoencoder"].run(image)
        expect("autoencoder", case, image, whole)
        if "encoder" not in reference:
            continue
        codes = reference["encoder"].run(image)
        latent = {"latent": codes["latent"]}
        expect("encoder", case, image, codes)
        expect("decoder", case, latent, reference["decoder"].run(latent))
        expect(COMPOSED, case, image, whole)
        if case.kind == "real" and case.batch == max(BATCHES):
            for batch in BATCHES:
                beyond = {"latent": latents_like(codes["latent"], batch)}
                wide = ImageCase(kind="prior", images_BCHW=case.images_BCHW[:batch])
                expect("decoder", wide, beyond, reference["decoder"].run(beyond))
    return expected


def _check_format(
    bundle: Bundle,
    format: str,
    reference: Mapping[str, GraphRunner],
    expected: Mapping[str, list[Expectation]],
    rounding: Rounding,
) -> list[GraphResult]:
    backend = backend_of(format)
    masked = bundle.manifest.latent is not None and bundle.manifest.latent.masked
    with ExitStack() as stack:
        calls: dict[str, Call | str] = {}
        for role in ROLES:
            if bundle.manifest.graph(role, format) is None:
                continue
            try:
                runner = open_graph(bundle, role, backend=backend, allow_failed=True)
                calls[role] = stack.enter_context(runner).run
            except (BackendError, BundleError) as error:
                calls[role] = str(error)  # a graph that cannot be opened fails; the others are still checked
        if "encoder" in calls and "decoder" in calls:
            calls[COMPOSED] = _composed(calls["encoder"], calls["decoder"])
        others = _decided_otherwise(calls.get("encoder"), reference, expected, masked)
        return [
            GraphResult(
                role=role,
                format=format,
                backend=backend,
                cases=tuple(
                    _run_case(
                        call,
                        expectation,
                        masked=masked,
                        rounding=partial(rounding, role, expectation),
                        other=others.get(at) if role in (COMPOSED, "autoencoder") else None,
                    )
                    for at, expectation in enumerate(expected[role])
                ),
            )
            for role, call in calls.items()
        ]


def _decided_otherwise(
    encode: Call | str | None,
    reference: Mapping[str, GraphRunner],
    expected: Mapping[str, list[Expectation]],
    masked: bool,
) -> dict[int, OtherChoice]:
    """By the number of the case, decoded by the reference; of a sound encoder only, not of one that is wrong."""
    others: dict[int, OtherChoice] = {}
    expectations = expected.get("encoder", [])
    if encode is None or isinstance(encode, str) or not (masked or "indices" in expectations[0].wanted):
        return others
    for at, expectation in enumerate(expectations):
        try:
            codes = encode(expectation.inputs)
        except AedeployError:
            continue
        if all(compare_all(codes, expectation.wanted, masked=masked)):
            rows = rows_decided_otherwise(codes, expectation.wanted)
            if rows.any():
                images = reference["decoder"].run({"latent": codes["latent"][rows]})["image"]
                others[at] = OtherChoice(rows=rows, images=images)
    return others


class Rounding:
    """How much of a difference PyTorch's own float32 explains: measured against float64, where somebody asks."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._exact: dict[str, GraphRunner] = {}

    def __call__(self, role: str, expectation: Expectation, output: str) -> float:
        """What the tolerance of an image may be widened by."""
        role = "autoencoder" if role == COMPOSED else role
        if role not in self._exact:
            eager = load_named(BACKENDS, REFERENCE, "backend")
            self._exact[role] = eager.open_exact(self._bundle, role)
        exact = self._exact[role].run(expectation.inputs)[output]
        error = float(np.abs(expectation.wanted[output] - exact).max(initial=0.0))
        return min(ROUNDING_FACTOR * error, MOST_ROUNDING)


def _composed(encode: Call | str, decode: Call | str) -> Call | str:
    if isinstance(encode, str) or isinstance(decode, str):
        return "one of its two graphs cannot be opened"
    return lambda image: {"reconstruction": decode({"latent": encode(image)["latent"]})["image"]}


def _run_case(
    call: Call | str,
    expectation: Expectation,
    *,
    masked: bool,
    rounding: Callable[[str], float],
    other: OtherChoice | None,
) -> CaseResult:
    case = expectation.case

    def result(**found: object) -> CaseResult:
        return CaseResult(kind=case.kind, batch=case.batch, size=case.size, repeats=case.repeats, **found)  # type: ignore[arg-type]

    if isinstance(call, str):
        return result(error=call)
    try:
        got = call(expectation.inputs)
    except AedeployError as error:
        return result(error=str(error))
    wanted = expectation.wanted if other is None else other.expected(got, expectation.wanted)
    return result(outputs=compare_all(got, wanted, masked=masked, rounding=rounding))
