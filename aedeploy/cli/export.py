"""``aedeploy export``: a model's graphs in one or more formats, linted before and proven against PyTorch after."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aedeploy.cli import own_model
from aedeploy.cli.console import Output, reporting
from aedeploy.cli.export_task import ExportTask, read_tolerances, say_refused
from aedeploy.cli.options import (
    BundleArgument,
    Debug,
    Json,
    OwnModule,
    Quiet,
    Tolerance,
    Verbose,
    trust_own_module,
)
from aedeploy.cli.stopwatch import Stopwatch
from aedeploy.errors import ConfigError, LintError


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
    pixels: Annotated[
        str,
        typer.Option(
            metavar="float32|uint8",
            help="Of the graphs' images: float32 [batch, C, H, W] in [0, 1], or uint8 [batch, H, W, C].",
        ),
    ] = "float32",
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Real images that int8 ranges are measured on. Default: the held-out ones in the bundle.",
        ),
    ] = None,
    no_parity: Annotated[
        bool, typer.Option("--no-parity", help="Do not run the exported graphs against PyTorch.")
    ] = False,
    tolerance: Tolerance = None,
    lint_only: Annotated[
        bool, typer.Option("--lint-only", help="Look for what would make graphs wrong, and write nothing.")
    ] = False,
    layout: Annotated[
        tuple[str, Path] | None,
        typer.Option(
            metavar="NAME DIR",
            help="Write graphs into DIR in the layout of a deployment target: triton. Exports only what is missing.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what --layout wrote before, or the bundle in --out.")
    ] = False,
    module: OwnModule = None,
    input: own_model.Input = None,
    weights: own_model.Weights = None,
    out: own_model.Out = None,
    argument: own_model.Argument = None,
    outputs: own_model.Outputs = None,
    whole: own_model.Whole = False,
    denoiser: own_model.Denoiser = False,
    mean: own_model.Mean = None,
    std: own_model.Std = None,
    model_output: own_model.ModelOutput = None,
    dynamic_size: own_model.DynamicSize = None,
    samples: own_model.Samples = None,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Export the graphs, and prove them against PyTorch.

    Encoder, decoder and autoencoder go into the bundle, under graphs/FORMAT/. A lint first refuses what would come out
    wrong, such as random nodes or a fixed batch. A graph that does not compute what PyTorch computes makes the command
    end with exit code 5, and is marked in the manifest so that nothing runs it.

    With --module, --input and --out it makes a bundle of one's own nn.Module, which must have methods encode and
    decode, or children encoder and decoder, or forward alone. Of a bundle made so, --module names again the code that
    is to be run.

    Example:

        aedeploy export artifacts/digits-ae --format onnx --format torchscript

        aedeploy export --module nets:Small --weights small.safetensors --input 3x64x64 --out artifacts/small
    """
    output, watch = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug), Stopwatch()
    own = own_model.OwnOptions(
        module=module,
        input=input,
        weights=weights,
        out=out,
        argument=argument,
        outputs=outputs,
        whole=whole,
        denoiser=denoiser,
        mean=mean,
        std=std,
        model_output=model_output,
        dynamic_size=dynamic_size,
        samples=samples,
    )
    task = ExportTask(
        output=output,
        watch=watch,
        formats=tuple(format or ["onnx"]),
        pixels=pixels,
        opset=opset,
        calibration=calibration,
        parity=not no_parity,
        tolerances=read_tolerances(tolerance, format or ["onnx"], output),
        overwrite=overwrite,
    )
    if lint_only and layout is not None:
        raise ConfigError("--lint-only writes nothing, and --layout writes a folder: give one of them.")
    try:
        if own.given:
            own.check(bundle, lint_only=lint_only)
            task.of_own(own, lint_only=lint_only, layout=layout)
        else:
            trust_own_module(module)
            task.of_bundle(bundle, format, lint_only=lint_only, layout=layout)
    except LintError as error:
        say_refused(output, error)
