"""Every exported graph of a bundle against the eager model: alone, encoder → decoder composed, and from image files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.bundle.card import write_card
from aedeploy.bundle.golden import load_samples
from aedeploy.bundle.manifest import ROLES, Pixels
from aedeploy.bundle.store import PARITY_FILE, changing
from aedeploy.errors import AedeployError, BackendError, BundleError
from aedeploy.files import write_json
from aedeploy.parity.crossing import Halves, cross
from aedeploy.parity.decisions import OtherChoice, compare_all, rows_decided_otherwise
from aedeploy.parity.expected import REFERENCE, Choices, Expectation, Rounding, expectations
from aedeploy.parity.from_files import FileCheck, from_files
from aedeploy.parity.inputs import image_cases
from aedeploy.parity.report import COMPOSED, CaseResult, GraphResult, ParityReport
from aedeploy.parity.tolerances import Tolerances, check_overrides, overrides_of, tolerances_of
from aedeploy.runtime.open import backend_of, load_backend, open_graph
from aedeploy.runtime.runner import Arrays, GraphRunner

#: A format, and the pixels of its graphs.
Variant = tuple[str, Pixels]

#: A call of one graph or of two in a row: named arrays in, named arrays out.
Call = Callable[[Mapping[str, np.ndarray]], Arrays]


def check_parity(
    bundle: Bundle,
    variants: Sequence[Variant] | None = None,
    samples_NHWC: np.ndarray | None = None,
    *,
    files: Sequence[Path] | None = None,
    tolerances: Mapping[str, float] | None = None,
) -> ParityReport:
    """Run every graph of ``variants`` (default: all that the bundle has) in a freshly opened session, and compare.

    Args:
        bundle: an opened bundle.
        variants: a format and its pixels, each.
        samples_NHWC: real images, uint8 [N, H, W, C] of the training size; by default those in the bundle.
        files: image files to take through the whole pipeline; by default the samples, written in several ways.
        tolerances: in place of the usual ones, as :func:`aedeploy.parity.tolerances.parse_tolerances` gives them.

    Raises:
        BundleError: the bundle has no graph of one of them.
        ConfigError: an override that would change nothing.
        MissingDependencyError: torch, or what runs a format, is not installed.
    """
    if variants is None:
        variants = variants_of(bundle)
    overrides = dict(tolerances or {})
    check_overrides(overrides, [format for format, _ in variants])
    if samples_NHWC is None:
        samples_NHWC = load_samples(bundle.file(bundle.manifest.golden))
    cases = list(image_cases(bundle.manifest.image, samples_NHWC, bundle.manifest.noise))
    with ExitStack() as stack:
        roles = ROLES if bundle.manifest.latent else ("autoencoder",)
        reference: dict[str, GraphRunner] = {
            role: stack.enter_context(open_graph(bundle, role, backend=REFERENCE)) for role in roles
        }
        checker = _Checker(
            bundle=bundle,
            reference=reference,
            expected=expectations(reference, cases),
            files=stack.enter_context(from_files(bundle, reference, samples_NHWC, files)),
            overrides=overrides,
            rounding=Rounding(bundle),
            choices=Choices(bundle),
        )
        results = [result for variant in variants for result in checker.variant(variant)]
        results += cross(bundle, checker.halves, results, checker.tolerances, checker.rounding)
    return ParityReport(bundle=bundle.name, reference=REFERENCE, graphs=tuple(results), overrides=overrides)


def variants_of(bundle: Bundle, formats: Sequence[str] | None = None) -> list[Variant]:
    """What a bundle has graphs of, in ``formats`` alone where they are given.

    Raises:
        UnknownNameError: there is no such format.
        BundleError: the bundle has no graphs, or none in one of the formats.
    """
    have = sorted({(graph.format, graph.pixels) for graph in bundle.manifest.graphs})
    for format in formats or ():
        backend_of(format)
        if format not in {name for name, _ in have}:
            names = ", ".join(dict.fromkeys(name for name, _ in have)) or "none"
            raise BundleError(
                f"Bundle {bundle.name!r} has no {format} graphs (it has {names}): "
                f"run  aedeploy export {shlex.quote(str(bundle.path))} --format {format}"
            )
    if not have:
        raise BundleError(
            f"Bundle {bundle.name!r} has no exported graph: run  aedeploy export {shlex.quote(str(bundle.path))}"
        )
    return [variant for variant in have if not formats or variant[0] in formats]


def record_parity(bundle: Bundle, report: ParityReport) -> Bundle:
    """Write ``parity.json``, and into the manifest and the model card the verdict on each checked graph.

    Beside a verdict stands by which tolerances it was reached, where they were not the usual ones.
    """
    variants = {(graph.format, graph.pixels) for graph in report.graphs}
    checked = {
        (graph.format, graph.pixels, graph.role): graph.file
        for graph in bundle.manifest.graphs
        if (graph.format, graph.pixels) in variants
    }
    with changing(bundle) as current:
        write_json(bundle.path / PARITY_FILE, report.as_dict())
        recorded = current.with_graphs(
            graph.model_copy(
                update={
                    "parity": "passed" if report.passed(graph.role, graph.format, graph.pixels) else "failed",
                    "tolerances": overrides_of(graph.format, report.overrides),
                }
            )
            for graph in current.manifest.graphs
            # One that was exported again meanwhile is not the one that was checked.
            if checked.get((graph.format, graph.pixels, graph.role)) == graph.file
        )
        write_card(recorded)
    return recorded


@dataclass(kw_only=True)
class _Checker:
    """What is the same for every variant."""

    bundle: Bundle
    reference: Mapping[str, GraphRunner]
    expected: Mapping[str, list[Expectation]]
    files: FileCheck
    overrides: Mapping[str, float]
    rounding: Rounding
    choices: Choices
    halves: list[Halves] = field(default_factory=list)

    def tolerances(self, variant: Variant) -> Tolerances:
        return tolerances_of(variant[0], self.overrides)

    def variant(self, variant: Variant) -> list[GraphResult]:
        """Every graph of a format and pixels, alone, composed, and in front of files."""
        load_backend(backend_of(variant[0]))
        with ExitStack() as stack:
            calls = self._open(stack, variant)
            others = self._decided_otherwise(calls.get("encoder"), variant)
            results = [self._graph(variant, role, call, others) for role, call in calls.items()]
            if COMPOSED in calls and not isinstance(calls[COMPOSED], str):
                self.halves.append(Halves.of(variant, calls["encoder"], self.expected[COMPOSED], others))
        return results + self.files.through(variant, self.tolerances(variant), self.choices, results, self.overrides)

    def _open(self, stack: ExitStack, variant: Variant) -> dict[str, Call | str]:
        """By role: what runs a graph, or why nothing does."""
        format, pixels = variant
        calls: dict[str, Call | str] = {}
        for role in ROLES:
            if self.bundle.manifest.graph(role, format, pixels) is None:
                continue
            try:
                runner = open_graph(self.bundle, role, format=format, pixels=pixels, allow_failed=True)
                calls[role] = stack.enter_context(runner).run
            except (BackendError, BundleError) as error:
                calls[role] = str(error)  # a graph that cannot be opened fails; the others are still checked
        if "encoder" in calls and "decoder" in calls:
            calls[COMPOSED] = _composed(calls["encoder"], calls["decoder"])
        return calls

    def _graph(self, variant: Variant, role: str, call: Call | str, others: Mapping[int, OtherChoice]) -> GraphResult:
        format, pixels = variant
        whole = role in (COMPOSED, "autoencoder")
        return GraphResult(
            role=role,
            format=format,
            backend=backend_of(format),
            pixels=pixels,
            cases=tuple(
                self._case(variant, role, call, expectation, others.get(at) if whole else None)
                for at, expectation in enumerate(self.expected[role])
                # So far out, what computes in less than float32 may overflow: nobody promises anything there.
                if expectation.case.kind != "far" or self.tolerances(variant).judged is None
            ),
            tolerances=self.tolerances(variant),
            overrides=overrides_of(format, self.overrides),
            decoded_error=max((other.error for other in others.values()), default=None) if role == "encoder" else None,
        )

    def _case(
        self, variant: Variant, role: str, call: Call | str, expectation: Expectation, other: OtherChoice | None
    ) -> CaseResult:
        case, tolerances = expectation.case, self.tolerances(variant)
        found = partial(
            CaseResult,
            kind=case.kind,
            batch=case.batch,
            size=case.size,
            repeats=case.repeats,
            judged=tolerances.judges(case.kind),
        )
        given = expectation.of_bytes if variant[1] == "uint8" else expectation
        if isinstance(call, str):
            return found(error=call)
        try:
            got = call(given.inputs)
        except AedeployError as error:
            return found(error=str(error))
        wanted = given.wanted if other is None else other.expected(got, given.wanted)
        outputs = compare_all(
            got,
            wanted,
            masked=self.choices.masked and role == "encoder",
            tolerances=tolerances.on(case.kind),
            rounding=partial(self.rounding, role, expectation),
            judge=self.choices.judge(case.images_BCHW) if role == "encoder" else None,
            repeats=case.repeats,
        )
        return found(outputs=outputs)

    def _decided_otherwise(self, encode: Call | str | None, variant: Variant) -> dict[int, OtherChoice]:
        """By the number of the case, decoded by the reference; of a sound encoder only, not of one that is wrong."""
        others: dict[int, OtherChoice] = {}
        if encode is None or isinstance(encode, str) or not self.choices.made:
            return others
        for at, expectation in enumerate(self.expected["encoder"]):
            given = expectation.of_bytes if variant[1] == "uint8" else expectation
            try:
                codes = encode(given.inputs)
            except AedeployError:
                continue
            sound = compare_all(
                codes,
                given.wanted,
                masked=self.choices.masked,
                tolerances=self.tolerances(variant).on(expectation.case.kind),
                judge=self.choices.judge(expectation.case.images_BCHW),
                repeats=expectation.case.repeats,
            )
            if not all(sound):
                continue
            rows = rows_decided_otherwise(codes, given.wanted)
            if rows.any():
                images = self.reference["decoder"].run({"latent": codes["latent"][rows]})["image"]
                whole = self.expected["autoencoder"][at].wanted["reconstruction"][rows]
                others[at] = OtherChoice(rows=rows, images=images, error=float(np.abs(images - whole).max()))
        return others


def _composed(encode: Call | str, decode: Call | str) -> Call | str:
    if isinstance(encode, str) or isinstance(decode, str):
        return "one of its two graphs cannot be opened"
    return lambda image: {"reconstruction": decode({"latent": encode(image)["latent"]})["image"]}
