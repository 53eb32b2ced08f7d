"""``aedeploy denoise``: the images of a folder, without their noise."""

from __future__ import annotations

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.jobs import BatchSize, ImagesArgument, Names, Out, Overwrite, Size, Workers, carry_out
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
def denoise(
    source: ImagesArgument,
    *,
    out: Out,
    bundle: BundleOption = None,
    size: Size = "original",
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
    """Remove the noise from the images of a folder.

    The outputs are PNGs in a tree that mirrors the input's, each of its image's own size unless --size model. What is
    done is skipped when the command runs again. A file that cannot be read never stops the job: it is listed, and the
    command ends with exit code 3.

    Example:

        aedeploy denoise scans/ --out clean/ --bundle digits-denoising
    """
    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    options = {
        "source": source,
        "output": out,
        "size": size,
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
    carry_out("denoise", output, bundle, options)
