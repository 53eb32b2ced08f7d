"""``aedeploy encode``: a folder of images to latents."""

from __future__ import annotations

from typing import Annotated

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.jobs import BatchSize, ImagesArgument, Out, Overwrite, Workers, carry_out
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
def encode(
    source: ImagesArgument,
    *,
    out: Out,
    bundle: BundleOption = None,
    format: Annotated[
        str, typer.Option("--format", "-f", metavar="parquet|npy|safetensors", help="Of the latents' files.")
    ] = "parquet",
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
    """Turn the images of a folder into latents.

    The files in --out have a row for every image: its path, its latent, and what else the encoder gives. Run it again
    and it does what is missing or failed; what is done is skipped. A file that cannot be read never stops the job:
    it is listed, and the command ends with exit code 3.

    Example:

        aedeploy encode photos/ --out latents/
    """
    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    options = {
        "source": source,
        "output": out,
        "latent_format": format,
        "backend": backend,
        "model_format": model_format,
        "pixels": pixels,
        "device": device,
        "batch_size": batch_size,
        "workers": workers,
        "allow_failed": allow_failed,
        "overwrite": overwrite,
    }
    carry_out("encode", output, bundle, options)
