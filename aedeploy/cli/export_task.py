"""What ``aedeploy export`` does once its options are read: lint, export, prove, and say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from aedeploy.cli import own_model
from aedeploy.cli.console import Output
from aedeploy.cli.export_layout import lay_out, layout_text, needs_export
from aedeploy.cli.large_imports import large_imports
from aedeploy.cli.samples import read_folder
from aedeploy.cli.stopwatch import Stopwatch
from aedeploy.errors import LintError, MissingDependencyError, ParityError

if TYPE_CHECKING:
    import numpy as np

    from aedeploy.bundle import Bundle, GraphRecord, ImageContract
    from aedeploy.export import ExportResult
    from aedeploy.export.lint import Finding
    from aedeploy.models.contract import Deployable
    from aedeploy.parity.report import ParityReport

#: More images hardly move the ranges that they give.
_CALIBRATION_IMAGES = 256


@dataclass(frozen=True, kw_only=True)
class ExportTask:
    """One run of the command, its options read."""

    output: Output
    watch: Stopwatch
    formats: tuple[str, ...]
    pixels: str
    opset: int | None
    calibration: Path | None
    parity: bool
    tolerances: Mapping[str, float]
    overwrite: bool

    def of_bundle(
        self, named: str | None, asked: Sequence[str] | None, *, lint_only: bool, layout: tuple[str, Path] | None
    ) -> None:
        """Export a bundle that is there."""
        from aedeploy.bundle.golden import load_samples
        from aedeploy.bundle.locate import find_bundle

        found = find_bundle(named)
        self._import()
        if lint_only:
            from aedeploy.models.load import load_model

            samples = load_samples(found.file(found.manifest.golden))
            return self._lint(load_model(found), samples, found)
        from aedeploy.export import export_bundle

        says_more = (
            self.pixels != "float32" or self.opset is not None or self.calibration is not None or self.tolerances
        )
        wanted = bool(asked or says_more)
        if layout is not None and not needs_export(found, layout, asked=wanted, overwrite=self.overwrite):
            only = lay_out(found, layout, None, self.output, overwrite=self.overwrite)
            value: dict[str, Any] = {"bundle": str(found.path), "graphs": [], "parity": None, "layout": only}
            return self.output.result(value, layout_text(only))
        self.output.note(f"Exporting {found.path} as {', '.join(self.formats)}…")
        options = self._options(found.manifest.image)
        return self._export(found.path, lambda: export_bundle(found, self.formats, **options), asked, layout)

    def of_own(self, own: own_model.OwnOptions, *, lint_only: bool, layout: tuple[str, Path] | None) -> None:
        """Make a bundle of somebody's own model."""
        self._import()
        from aedeploy.export.own import check_out, export_own

        if own.out is not None and not lint_only:
            check_out(own.out, overwrite=self.overwrite)
        source = own.read()
        self.watch.lap("own model")
        for note in source.notes:
            self.output.note(note)
        if lint_only or own.out is None:
            return self._lint(source.model, source.samples_NHWC, None)
        out = own.out
        self.output.note(f"Exporting {own.module} into {out} as {', '.join(self.formats)}…")
        options = self._options(source.model.image)
        return self._export(
            out,
            lambda: export_own(source, out, self.formats, overwrite=self.overwrite, **options),
            self.formats,
            layout,
        )

    def _import(self) -> None:
        """What takes longest of a small export, and is timed by itself."""
        _require_packages()
        with large_imports():
            # It comes in at the first use of torch.onnx, where it would take longer.
            import onnxscript  # noqa: F401

            import aedeploy.export  # noqa: F401
        # The same of torch.export; not with the others, because it imports Triton (see large_imports).
        import torch._dynamo  # noqa: F401

        self.watch.lap("start and imports")

    def _options(self, image: ImageContract) -> dict[str, Any]:
        return {
            "pixels": self.pixels,
            "opset": self.opset,
            "calibration": self._calibration(image),
            "parity": self.parity,
            "tolerances": self.tolerances,
        }

    def _calibration(self, image: ImageContract) -> np.ndarray | None:
        if self.calibration is None:
            return None
        from aedeploy.images.geometry import Geometry

        geometry = Geometry(mode=image.mode, height=image.height, width=image.width)
        return read_folder(geometry, self.calibration, "calibration", _CALIBRATION_IMAGES)

    def _lint(self, model: Deployable, samples: np.ndarray, bundle: Bundle | None) -> None:
        from aedeploy.export.lint import lint, refuse, rule_names, subject_of

        findings = lint(subject_of(model, samples, self.formats))
        self.watch.lap("lint")
        refuse(findings)
        _warn(self.output, findings)
        value = {
            "bundle": str(bundle.path) if bundle else None,
            "findings": [finding.as_dict() for finding in findings],
            "seconds": self.watch.seconds,
        }
        rules = f"{len(rule_names())} rules"
        text = f"{len(findings)} warnings of {rules}, and no error." if findings else f"Nothing found by {rules}."
        self._say_times()
        self.output.result(value, text)

    def _export(
        self, path: Path, run: Callable[[], ExportResult], asked: Sequence[str] | None, layout: tuple[str, Path] | None
    ) -> None:
        from aedeploy.bundle import open_bundle
        from aedeploy.cli.parity_tables import parity_table

        findings: tuple[Finding, ...] = ()
        failed: ParityError | None = None
        report: ParityReport | None
        try:
            result = run()
            graphs, report, findings = result.graphs, result.parity, result.findings
            self.watch.add(result.seconds)
        except ParityError as error:
            failed, report = error, error.report
            now = open_bundle(path).manifest.graphs
            graphs = tuple(g for g in now if g.format in self.formats and g.pixels == self.pixels)
        _warn(self.output, findings)
        if report is not None:
            self.output.show(parity_table(report, self.output.width))
        else:
            self.output.note("Not checked against PyTorch, as asked: run  aedeploy parity  before you rely on these.")
        placed = None
        if layout is not None and failed is None:
            placed = lay_out(open_bundle(path), layout, asked, self.output, overwrite=self.overwrite)
        lines = [_line(path, graph) for graph in graphs] + ([layout_text(placed)] if placed else [])
        for graph in graphs:
            versions = ", ".join(f"{name} {version}" for name, version in graph.producer.items())
            self.output.detail(
                f"{graph.format} {graph.role}: opset {graph.opset or '–'}, by {versions}, {graph.file.sha256}"
            )
        self._say_times()
        value = {
            "bundle": str(path),
            "graphs": [_row(graph) for graph in graphs],
            "parity": report.as_dict() if report is not None else None,
            "findings": [finding.as_dict() for finding in findings],
            "seconds": self.watch.seconds,
            "layout": placed,
        }
        self.output.result(value, "\n".join(lines))
        if failed is not None:
            self.output.error(str(failed))
            raise typer.Exit(failed.exit_code)

    def _say_times(self) -> None:
        """With --verbose: where the time goes."""
        for stage, seconds in self.watch.seconds.items():
            self.output.detail(f"{seconds:7.2f} s  {stage}")


def read_tolerances(given: Sequence[str] | None, formats: Sequence[str], output: Output) -> Mapping[str, float]:
    """The overrides of --tolerance, and what is said of them."""
    from aedeploy.parity.tolerances import check_overrides, describe_overrides, parse_tolerances

    overrides = parse_tolerances(given or ())
    check_overrides(overrides, formats)
    if overrides:
        output.note(f"Judged otherwise than usual, as asked: {describe_overrides(overrides, formats)}")
    return overrides


def _require_packages() -> None:
    import importlib.util

    for package in ("torch", "onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "train", "Export")


def say_refused(output: Output, error: LintError) -> None:
    """The first finding is in the error; the others follow as they are."""
    _warn(output, error.findings[1:])
    output.error(str(error))
    if output.json:
        output.result(
            {
                "error": {"type": type(error).__name__, "message": str(error)},
                "findings": [finding.as_dict() for finding in error.findings],
                "exit_code": error.exit_code,
            }
        )
    raise typer.Exit(error.exit_code)


def _warn(output: Output, findings: Sequence[Finding]) -> None:
    for finding in findings:
        output.note(f"{finding.severity.capitalize()}: {finding}")


def _row(graph: GraphRecord) -> dict[str, Any]:
    return {
        "role": graph.role,
        "format": graph.format,
        "pixels": graph.pixels,
        "file": graph.file.path,
        "bytes": _size(graph),
        "opset": graph.opset,
        "oldest_runtime": graph.oldest_runtime,
        "parity": graph.parity,
    }


def _line(path: Path, graph: GraphRecord) -> str:
    megabytes = _size(graph) / 1e6
    return f"{path}/{graph.file.path}  {megabytes:.2f} MB, parity {graph.parity}, for {graph.oldest_runtime} or newer"


def _size(graph: GraphRecord) -> int:
    """Bytes of all that a graph is kept in: of some formats, a second file has the weights."""
    return graph.file.bytes + (graph.data.bytes if graph.data is not None else 0)
