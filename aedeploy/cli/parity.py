"""``aedeploy parity``: every exported graph against PyTorch, in figures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.large_imports import large_imports
from aedeploy.cli.options import BundleArgument, Debug, Json, OwnModule, Quiet, Tolerance, Verbose, trust_own_module
from aedeploy.cli.parity_tables import bisection_table, parity_table
from aedeploy.cli.samples import read_samples
from aedeploy.errors import ParityError

if TYPE_CHECKING:
    from aedeploy.bundle import Bundle
    from aedeploy.export.bisect import Bisection
    from aedeploy.parity.report import ParityReport

#: The formats that --bisect can look into: aedeploy.export.bisect.FORMATS, which would import torch.
BISECTABLE = ("onnx", "onnx-fp16", "onnx-int8")


@reporting
def parity(
    bundle: BundleArgument = None,
    *,
    format: Annotated[
        list[str] | None, typer.Option("--format", "-f", help="Check this format only; may be repeated.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="A folder of images to use in place of the bundle's own held-out ones.")
    ] = None,
    tolerance: Tolerance = None,
    bisect: Annotated[
        bool,
        typer.Option("--bisect", help="Of an ONNX graph that fails, find the first node whose value is off."),
    ] = False,
    module: OwnModule = None,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Check the exported graphs against PyTorch.

    Real images, black, white, constant, checkerboard and noise, at batch 1, 2, 7 and 64, through each graph alone
    and through encoder → decoder composed; latents of every format decoded by every other; and image files through
    the whole pipeline. A figure beyond its tolerance, a NaN or a wrong shape ends the command with exit code 5. The
    report is kept in the bundle as parity.json.

    Example:

        aedeploy parity artifacts/digits-ae --format onnx
    """
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.bundle.store import require_changeable
    from aedeploy.images.folder import list_images
    from aedeploy.parity.check import check_parity, record_parity, variants_of
    from aedeploy.parity.tolerances import check_overrides, describe_overrides, parse_tolerances

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = find_bundle(bundle)
    require_changeable(found)  # now, not when there is a report to keep in it
    trust_own_module(module)
    variants = variants_of(found, format)
    overrides = parse_tolerances(tolerance or ())
    formats = [name for name, _ in variants]
    check_overrides(overrides, formats)
    if bisect:
        _check_bisect(found, formats)
    output.note(f"Checking {found.path} against PyTorch…")
    if overrides:
        output.note(f"Judged otherwise than usual, as asked: {describe_overrides(overrides, formats)}")
    images = files = None
    if samples is not None:
        images = read_samples(found, samples, "samples")
        listing = list_images(samples)
        files = [listing.root / name for name in listing.images]
    report = check_parity(found, variants, images, files=files, tolerances=overrides)
    record_parity(found, report)
    _explain(output, report)
    output.show(parity_table(report, output.width))
    bisections = _bisect(output, found, report) if bisect else []
    compared = sum(len(graph.cases) for graph in report.graphs)
    well = f"Every graph computes what PyTorch computes, in {compared} comparisons."
    if overrides:
        well = f"{well[:-1]}, by tolerances that are not the usual ones: {describe_overrides(overrides, formats)}."
    result = report.as_dict()
    if bisect:
        result["bisect"] = [found.as_dict() for found in bisections]
        well = f"{well} There is nothing to bisect."
    output.result(result, well if report else None)
    if not report:
        output.error(f"The export is wrong: {'; '.join(report.failures())}.")
        raise typer.Exit(ParityError.exit_code)


def _explain(output: Output, report: ParityReport) -> None:
    """With --verbose: what each graph was given, and what it was judged by."""
    for graph in report.graphs:
        kinds = ", ".join(dict.fromkeys(f"{case.kind} {case.size}" for case in graph.cases))
        unjudged = dict.fromkeys(case.kind for case in graph.cases if not case.judged)
        most = graph.tolerances.elsewhere
        bound = "" if most is None else f", and images within {most:g}"
        only = f"; of {', '.join(unjudged)} only that outputs are finite and well shaped{bound}" if unjudged else ""
        output.detail(f"{graph.name}, by {graph.backend}: {len(graph.cases)} comparisons, {kinds}{only}")
        if graph.decoded_error is not None:
            output.detail(f"{graph.name}: where it decides otherwise, images differ by up to {graph.decoded_error:.1e}")


def _check_bisect(bundle: Bundle, formats: Sequence[str]) -> None:
    """Refuse --bisect where no graph that is checked can be looked into."""
    from aedeploy.errors import ConfigError

    if not set(formats) & set(BISECTABLE):
        raise ConfigError(
            f"--bisect looks into {', '.join(BISECTABLE)} graphs, and {', '.join(formats)} files show no nodes: "
            f"run  aedeploy export {shlex.quote(str(bundle.path))} --format onnx  and bisect that."
        )


def _bisect(output: Output, bundle: Bundle, report: ParityReport) -> list[Bisection]:
    """Look into every graph that failed by itself, and show what was found."""
    from rich.text import Text

    with large_imports():
        from aedeploy.export.bisect import bisect

    found = []
    for failed in report.graphs:
        record = bundle.manifest.graph(failed.role, failed.format, failed.pixels)
        if failed or record is None:
            continue
        if failed.format not in BISECTABLE:
            output.note(f"{failed.name}: not bisected, a file of {failed.format} shows no nodes.")
            continue
        output.note(f"Looking into {failed.name}…")
        bisection = bisect(bundle, record)
        found.append(bisection)
        if bisection.around:
            output.show(bisection_table(bisection, output.width))
        nothing = f"in {bisection.compared} values, each computed by itself, there is nothing to find"
        output.show(Text(f"{bisection.graph}: {bisection.reason or nothing}"))
    return found
