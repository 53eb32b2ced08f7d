"""``aedeploy export``: the trained model's graphs in one or more formats, proven against PyTorch."""

from __future__ import annotations

from typing import Annotated

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.large_imports import large_imports
from aedeploy.cli.options import BundleArgument, Debug, Json, Quiet, Verbose
from aedeploy.errors import MissingDependencyError, ParityError


@reporting
def export(
    bundle: BundleArgument = None,
    *,
    format: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", help="A format (aedeploy list formats); may be repeated. Default: onnx."),
    ] = None,
    opset: Annotated[
        int | None, typer.Option(help="The ONNX opset. Default: 20, for onnxruntime 1.17 and newer.")
    ] = None,
    no_parity: Annotated[
        bool, typer.Option("--no-parity", help="Do not run the exported graphs against PyTorch.")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Export the graphs, and prove them against PyTorch.

    Encoder, decoder and autoencoder go into the bundle, under graphs/FORMAT/. A graph that does not compute what
    PyTorch computes makes the command end with exit code 5, and is marked in the manifest so that nothing runs it.

    Example:

        aedeploy export artifacts/digits-ae --format onnx --format torchscript
    """
    import importlib.util

    from aedeploy.bundle import open_bundle
    from aedeploy.bundle.locate import find_bundle

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = find_bundle(bundle)
    for package in ("torch", "onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "train", "Export")
    from aedeploy.cli.parity import parity_table

    with large_imports():
        from aedeploy.export import export_bundle

    formats = format or ["onnx"]
    output.note(f"Exporting {found.path} as {', '.join(formats)}…")
    failed: ParityError | None = None
    try:
        result = export_bundle(found, formats, opset=opset, parity=not no_parity)
        graphs, report = result.graphs, result.parity
    except ParityError as error:
        failed, report = error, error.report
        graphs = tuple(g for g in open_bundle(found.path).manifest.graphs if g.format in formats)
    if report is not None:
        output.show(parity_table(report, output.width))
    else:
        output.note("Not checked against PyTorch, as asked: run  aedeploy parity  before you rely on these files.")
    rows = [
        {
            "role": graph.role,
            "format": graph.format,
            "file": graph.file.path,
            "bytes": graph.file.bytes,
            "opset": graph.opset,
            "oldest_runtime": graph.oldest_runtime,
            "parity": graph.parity,
        }
        for graph in graphs
    ]
    lines = [
        f"{found.path}/{g.file.path}  {g.file.bytes / 1e6:.2f} MB, parity {g.parity}, for {g.oldest_runtime} or newer"
        for g in graphs
    ]
    for graph in graphs:
        versions = ", ".join(f"{name} {version}" for name, version in graph.producer.items())
        output.detail(f"{graph.format} {graph.role}: opset {graph.opset or '–'}, by {versions}, {graph.file.sha256}")
    parity = report.as_dict() if report is not None else None
    output.result({"bundle": str(found.path), "graphs": rows, "parity": parity}, "\n".join(lines))
    if failed is not None:
        output.error(str(failed))
        raise typer.Exit(failed.exit_code)
