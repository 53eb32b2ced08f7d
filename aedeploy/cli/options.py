"""The options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aedeploy.errors import ConfigError

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no messages.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on the way.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

_BUNDLE = (
    "A bundle's folder, or its name in artifacts/, or of one that came with the package (aedeploy list bundles). "
    "Default: the newest in artifacts/."
)
BundleArgument = Annotated[
    str | None,
    typer.Argument(metavar="BUNDLE", help=_BUNDLE),
]
BundleOption = Annotated[
    str | None,
    typer.Option("--bundle", "-b", help=_BUNDLE),
]
Backend = Annotated[
    str | None,
    typer.Option(help="What runs the graphs (aedeploy list backends). Default: onnxruntime, or what the bundle has."),
]
ModelFormat = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT", help="Of the graphs that run (aedeploy list formats). Default: onnx, or what the bundle has."
    ),
]
PixelsOption = Annotated[
    str | None,
    typer.Option(metavar="float32|uint8", help="Which graphs run. Default: float32, unless the bundle has uint8 only."),
]
Device = Annotated[str, typer.Option(help="Where the graphs run: cpu, cuda, mps. Never a silent fall back.")]
AllowFailed = Annotated[bool, typer.Option("--allow-failed", help="Run a graph although its parity check failed.")]
OwnModule = Annotated[
    str | None,
    typer.Option(
        "--module",
        metavar="PACKAGE.MODULE:FACTORY",
        help="The code of one's own model, which is imported and run. The current directory counts.",
    ),
]
Tolerance = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[FORMAT:]KIND=VALUE",
        help="Judge by this in place of the usual, such as latent=1e-4 or onnx-int8:psnr=30; may be repeated. It is "
        "printed, and recorded in the bundle.",
    ),
]


def one_bundle(argument: str | None, option: str | None) -> str | None:
    """The bundle that either BUNDLE or ``--bundle`` names; None: neither does.

    Raises:
        ConfigError: both do.
    """
    if argument is not None and option is not None:
        raise ConfigError(f"BUNDLE {argument} and --bundle {option} both name a bundle: give one of them.")
    return argument if argument is not None else option


def trust_own_module(module: str | None) -> None:
    """Let the code that ``--module`` names be run where a bundle asks for it; as of ``python -m``, from here too."""
    if module is None:
        return
    import sys

    from aedeploy.cli.large_imports import large_imports

    with large_imports():
        from aedeploy.models.own import trust
    if "" not in sys.path:
        sys.path.insert(0, "")
    trust(module)


# Of commands that look at a bundle with images.
LookedAtRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", help="Where mnist, fashion-mnist and cifar10 are, as train has it. Nothing is downloaded."
    ),
]


# Of commands that train.
TrainingData = Annotated[
    str,
    typer.Option(
        help="digits, mnist, fashion-mnist, cifar10, or a PATH: a folder of images or idx files, or an .npz.",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        help="Where mnist, fashion-mnist and cifar10 are, or are downloaded to: torchvision's layout, "
        "or just the four idx files.",
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="N|HxW",
        help="Resize images to N×N or H×W. Default: as they are, or 128×128 where they differ or are above 256.",
    ),
]
Color = Annotated[str, typer.Option(help="auto, grey or rgb. auto: as the images are.")]
HeldOut = Annotated[
    float | None,
    typer.Option(
        help="Of data without a test set: a share below 1, or a number of images. Default: a tenth, at most 5,000.",
    ),
]
Variant = Annotated[str, typer.Option(metavar="NAME|FILE.toml", help="A recipe (aedeploy list variants).")]
Epochs = Annotated[int | None, typer.Option(help="training.epochs")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe; repeatable."),
]
TrainingDevice = Annotated[str, typer.Option(help="auto (cuda, else mps, else cpu), cpu, cuda or mps.")]
