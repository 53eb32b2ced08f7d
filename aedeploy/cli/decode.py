"""``aedeploy decode``: latents back to images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.jobs import BatchSize, Names, Out, Overwrite, Workers, carry_out
from aedeploy.cli.options import (
    AllowFailed,
    Backend,
    BundleOption,
    Debug,
    Device,
    Json,
    ModelFormat,
    PixelsOption,
    Quiet,
    Verbose,
)


@reporting
def decode(
    source: Annotated[
        Path, typer.Argument(metavar="LATENTS", help="The folder that encode wrote, or one file of it, of any format.")
    ],
    *,
    out: Out,
    bundle: BundleOption = None,
    names: Names = "short",
    backend: Backend = None,
    model_format: ModelFormat = None,
    pixels: PixelsOption = None,
    device: Device = "cpu",
    batch_size: BatchSize = "auto",
    workers: Workers = "auto",
    allow_failed: AllowFailed = False,
    overwrite: Overwrite = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Turn latents back into images.

    The images are PNGs of the model's own size, in the tree of folders that they came from. Latents of another
    bundle are refused; a row with NaN is listed as failed, and the command ends with exit code 3.

    Example:

        aedeploy decode latents/ --out decoded/
    """
    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    options = {
        "source": source,
        "output": out,
        "names": names,
        "backend": backend,
        "model_format": model_format,
        "pixels": pixels,
        "device": device,
        "batch_size": batch_size,
        "workers": workers,
        "allow_failed": allow_failed,
        "overwrite": overwrite,
    }
    carry_out("decode", output, bundle, options)
