"""``aedeploy train``: from images to a bundle."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import INTERRUPTED, Output, counted, reporting
from aedeploy.cli.large_imports import large_imports
from aedeploy.cli.options import (
    Color,
    DataRoot,
    Debug,
    Epochs,
    HeldOut,
    ImageSize,
    Json,
    Quiet,
    Set,
    TrainingData,
    TrainingDevice,
    Variant,
    Verbose,
)
from aedeploy.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from aedeploy.training.events import Ended


@reporting
def train(
    *,
    data: TrainingData = "digits",
    data_root: DataRoot = None,
    image_size: ImageSize = None,
    color: Color = "auto",
    held_out: HeldOut = None,
    workers: Annotated[int | None, typer.Option(help="Threads that decode a folder. Default: one a core.")] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Not these of a folder's images, such as 'scans/'; repeatable."),
    ] = None,
    variant: Variant = "ae",
    latent_dim: Annotated[int | None, typer.Option(help="Size of the latent (model.latent_dim).")] = None,
    epochs: Epochs = None,
    batch_size: Annotated[int | None, typer.Option(help="training.batch_size")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate (training.lr).")] = None,
    set_: Set = None,
    seed: Annotated[int, typer.Option(help="Same seed, same weights on a CPU.")] = 0,
    device: TrainingDevice = "auto",
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write event files for TensorBoard there."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The bundle's folder. Default: artifacts/DATA-VARIANT, numbered."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run that was stopped, or has more --epochs."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle in --out.")] = False,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="No curves and no reconstructions in the terminal.")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Train an autoencoder and write its bundle.

    Ctrl-C stops after the current step, leaves a bundle that works, and prints the command that goes on from there.

    Examples:

        aedeploy train

        aedeploy train --data photos/ --image-size 128 --variant denoising

        aedeploy train --data mnist --variant vae --set objective.kl.weight=4

        aedeploy train --data photos/ --variant denoiser-color --exclude 'scans/'

        torchrun --nproc-per-node 2 -m aedeploy train --data photos/ --variant my.toml
    """
    import importlib.util

    from aedeploy.recipes import load_recipe

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    given = {
        "model.latent_dim": latent_dim,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "training.lr": lr,
    }
    overrides = [*(set_ or ()), *(f"{key}={value}" for key, value in given.items() if value is not None)]
    recipe = load_recipe(variant, overrides)
    size = read_image_size(image_size)
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError("torch", "train", "Training")
    with large_imports():
        from aedeploy.training.config import TrainConfig
        from aedeploy.training.data.source import DataRequest, data_name
        from aedeploy.training.destination import default_destination
        from aedeploy.training.distributed import is_follower
    from aedeploy.cli.terminal_pictures import shows_images
    from aedeploy.cli.training_progress import train_with_progress

    if is_follower():
        output = replace(output, json=False, quiet=True)
    config = TrainConfig(
        recipe=recipe,
        out=out or default_destination(data_name(data), recipe.name, resume=resume),
        numbered=out is None and not resume,
        data=DataRequest(
            data=data,
            data_root=data_root,
            image_size=size,
            color=color,
            held_out=held_out,
            workers=workers,
            exclude=tuple(exclude or ()),
        ),
        seed=seed,
        device=device,
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        watch=tensorboard is not None or (not no_pictures and shows_images(output.messages)),
    )
    ended = train_with_progress(config, output, pictures=not no_pictures)
    if ended is None:  # one of several processes, and not the one that has the bundle
        return
    output.result(
        {
            "bundle": str(ended.bundle.path),
            "variant": recipe.name,
            "epochs": ended.epochs,
            "train_loss": ended.train_loss,
            "test": dict(ended.metrics),
            "seconds": round(ended.seconds, 2),
            "completed": ended.completed,
        },
        _summary(ended),
    )
    if not ended.completed:
        asked = {
            "--data": data if data != "digits" else None,
            "--data-root": data_root,
            "--image-size": image_size,
            "--color": color if color != "auto" else None,
            "--held-out": held_out,
            "--workers": workers,
            "--variant": variant if variant != "ae" else None,
            "--seed": seed or None,
            "--device": device if device != "auto" else None,
            "--tensorboard": tensorboard,
        }
        options = [f"{name}={value}" for name, value in asked.items() if value is not None]
        options += ["--no-pictures"] if no_pictures else []
        options += [f"--exclude={pattern}" for pattern in exclude or ()]
        options += [f"--set={override}" for override in overrides]
        command = shlex.join(["aedeploy", "train", *options, f"--out={ended.bundle.path}", "--resume"])
        output.error(f"Interrupted after {counted(ended.epochs, 'epoch')}; this goes on from there:  {command}")
        raise typer.Exit(INTERRUPTED)


def read_image_size(text: str | None) -> tuple[int, int] | None:
    """What --image-size was given: ``64``, or ``48x64`` (height × width)."""
    if text is None:
        return None
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--image-size {text}: give one number, or height and width as HxW, such as 96x128.")
    return int(parts[0]), int(parts[-1])


def _summary(ended: Ended) -> str:
    figures = (
        f"{name} {value}" if isinstance(value, int) else f"{name} {value:.4g}"
        for name, value in ended.metrics.items()
        if value is not None and name != "epochs"
    )
    path = ended.bundle.path
    patches = ended.bundle.manifest.recipe["training"]["patches"] is not None
    return (
        f"{path}: {counted(ended.epochs, 'epoch')}, {ended.seconds:.1f} s\n"
        f"held-out {'patches' if patches else 'images'}: {', '.join(figures)}\n"
        f"next:  aedeploy export {shlex.quote(str(path))} --format onnx"
    )
