"""The options that several commands share, each said once."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no messages.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on the way.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

BundleArgument = Annotated[
    str | None,
    typer.Argument(metavar="BUNDLE", help="A bundle's folder, or its name in artifacts/. Default: the newest there."),
]
BundleOption = Annotated[
    str | None,
    typer.Option("--bundle", "-b", help="A bundle's folder, or its name in artifacts/. Default: the newest there."),
]
Backend = Annotated[
    str | None,
    typer.Option(help="What runs the graphs (aedeploy list backends). Default: onnxruntime, or what the bundle has."),
]
Device = Annotated[str, typer.Option(help="Where the graphs run: cpu, cuda, mps. Never a silent fall back.")]
AllowFailed = Annotated[bool, typer.Option("--allow-failed", help="Run a graph although its parity check failed.")]
