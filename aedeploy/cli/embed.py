"""``aedeploy embed``: a small program around a bundle, for another language or another place."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from aedeploy.cli.console import Output, counted, reporting
from aedeploy.cli.options import BundleArgument, Debug, Json, Quiet, Verbose


@reporting
def embed(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="aedeploy list targets")],
    bundle: BundleArgument = None,
    *,
    out: Annotated[Path, typer.Option(help="The program's folder: a new one.")],
    format: Annotated[
        str | None, typer.Option("--format", "-f", help="Of its graphs. Default: the target's usual one.")
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="web: the images that are points on the map of a 2-D latent; a subfolder is a label."
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="web: a folder with onnxruntime-web's files. Default: npm fetches them, once."
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace a program that was written there; refused where its files were changed since."
        ),
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Write a small program around a bundle: Python, Node, a web page, C++.

    It is complete and readable: it loads an image as the bundle's contract says, encodes, decodes, reconstructs, and
    its self-test runs the golden vectors and fails when they are off. It needs no aedeploy; its README.md says what
    it needs.

    Example:

        aedeploy embed node artifacts/digits-ae --out my-encoder
    """
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.embed import write_program

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = find_bundle(bundle)
    if bundle is None:
        output.note(f"Bundle: {found.path}")
    written = write_program(
        target,
        found,
        out,
        format=format,
        overwrite=overwrite,
        options={"samples": samples, "runtime": runtime},
        say=output.note,
    )
    graphs = written.program.graphs
    unchecked = [graph.role for graph in graphs if graph.parity == "unchecked"]
    if unchecked:
        output.note(
            f"Not checked against PyTorch: {', '.join(unchecked)}. Run  aedeploy parity  before you rely on it."
        )
    for file in written.files:
        output.detail(file)
    files = counted(len(written.files), "file")
    lines = [
        f"{out}: {files}, a {target} program around {found.name} ({written.program.format})",
        "next:",
        *(f"  {line}" for line in (f"cd {shlex.quote(str(out))}", *written.next)),
    ]
    value = {
        "target": target,
        "bundle": found.name,
        "digest": found.manifest.digest,
        "format": written.program.format,
        "folder": str(out),
        "files": list(written.files),
        "next": list(written.next),
    }
    output.result(value, "\n".join(lines))
