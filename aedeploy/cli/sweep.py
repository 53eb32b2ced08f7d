"""``aedeploy sweep``: one variant over a grid of values."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import INTERRUPTED, Output, counted, reporting
from aedeploy.cli.jobs import SOME_FAILED, auto_or_number
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
from aedeploy.cli.tables import add_row, columns, places_that_fit
from aedeploy.cli.train import read_image_size
from aedeploy.errors import MissingDependencyError

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from aedeploy.training.sweep.plan import Sweep
    from aedeploy.training.sweep.results import Table
    from aedeploy.training.sweep.run import SweepEnded


@reporting
def sweep(
    *,
    variant: Variant = "ae",
    over: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,VALUE,…", help="A key of the recipe and the values it takes; repeatable."),
    ] = None,
    set_: Set = None,
    data: TrainingData = "digits",
    data_root: DataRoot = None,
    image_size: ImageSize = None,
    color: Color = "auto",
    held_out: HeldOut = None,
    epochs: Epochs = None,
    seed: Annotated[int, typer.Option(help="Of every point.")] = 0,
    seeds: Annotated[int, typer.Option(help="Train every point so many times, with --seed and those after it.")] = 1,
    device: TrainingDevice = "auto",
    jobs: Annotated[
        str,
        typer.Option(metavar="auto|N", help="Points trained side by side. auto: one a core, or one on a GPU."),
    ] = "auto",
    out: Annotated[Path, typer.Option(help="A folder: it gets a bundle for each point, and the table of results.")],
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Train a variant at every point of a grid, side by side, into bundles and one table.

    The same command again trains what is missing; with more values, those. Ctrl-C stops every point after its step,
    and the command that goes on from there is printed.

    Examples:

        aedeploy sweep --variant mlp-32 --over model.latent_dim=2,16,32,128 --out sweeps/sizes

        aedeploy sweep --variant vae --over objective.kl.weight=0.5,1,4 --seeds 3 --epochs 5 --out sweeps/beta
    """
    import importlib.util

    from aedeploy.recipes import load_recipe

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    overrides = [*(set_ or ()), *([f"training.epochs={epochs}"] if epochs is not None else [])]
    recipe = load_recipe(variant, overrides)
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError("torch", "train", "Training")
    with large_imports():
        from aedeploy.training.data.source import DataRequest
        from aedeploy.training.sweep import SweepConfig, parse_axis, plan_sweep
        from aedeploy.training.sweep.grid import check_axes

    axes = [parse_axis(text) for text in over or ()]
    if seeds == 1 or axes:
        check_axes(axes, fixed=[override.partition("=")[0].strip() for override in overrides])
    config = SweepConfig(
        recipe=recipe,
        axes=axes,
        out=out,
        data=DataRequest(
            data=data,
            data_root=data_root,
            image_size=read_image_size(image_size),
            color=color,
            held_out=held_out,
        ),
        seed=seed,
        seeds=seeds,
        device=device,
        jobs=auto_or_number("jobs", jobs),
    )
    ended = _carry_out(plan_sweep(config), output)
    shown, left_out = _table(ended.table, output.width)
    output.show(shown)
    output.result({**ended.as_dict(), "output": str(out)}, _summary(ended, out, left_out))
    if not ended.completed:
        asked = {
            "--variant": variant,
            "--data": data if data != "digits" else None,
            "--data-root": data_root,
            "--image-size": image_size,
            "--color": color if color != "auto" else None,
            "--held-out": held_out,
            "--seed": seed or None,
            "--seeds": seeds if seeds != 1 else None,
            "--device": device if device != "auto" else None,
            "--jobs": jobs if jobs != "auto" else None,
        }
        options = [f"{name}={value}" for name, value in asked.items() if value is not None]
        options += [f"--over={text}" for text in over or ()] + [f"--set={override}" for override in overrides]
        command = shlex.join(["aedeploy", "sweep", *options, f"--out={out}"])
        done = counted(len(ended.table.rows), "point")
        output.error(f"Interrupted with {done} done; this goes on from there:  {command}")
        raise typer.Exit(INTERRUPTED)
    if ended.failed:
        raise typer.Exit(SOME_FAILED)


def _carry_out(plan: Sweep, output: Output) -> SweepEnded:
    """Run it, show what happens, and let Ctrl-C and SIGTERM end it when every point has stopped after its step."""
    from aedeploy.cli.sweep_progress import SweepProgress
    from aedeploy.training.signals import stop_on_signals
    from aedeploy.training.sweep import run_sweep
    from aedeploy.training.sweep.run import SweepEnded, SweepStarted

    with (
        stop_on_signals() as stop,
        SweepProgress(output, stop.event) as progress,
        closing(run_sweep(plan, stop.event)) as events,
    ):
        for event in events:
            if isinstance(event, SweepStarted):
                stop.armed = True
            if isinstance(event, SweepEnded):
                return event
            progress.show(event)
    raise AssertionError("a sweep ends with SweepEnded or with an error")


def _table(table: Table, width: int) -> tuple[RichTable, list[str]]:
    """The table, and the heads of those of its columns that the window has no room for."""
    from rich.text import Text

    heads, marked = table.cells()
    values, figures = heads[: len(table.axes)], heads[len(table.axes) :]
    # Not by colour alone: a pipe has none.
    rows = [[Text(f"{cell} *", style="green") if best else Text(cell) for cell, best in row] for row in marked]
    # First the losses, which are not to be compared, then what other columns say as well.
    spare = dict.fromkeys(["loss", "mae", "epochs", "latent", *reversed(figures)])
    places = places_that_fit(heads, rows, width, right=figures, spare=[head for head in spare if head not in values])
    shown = columns(f"{table.variant} on {table.data}", [heads[place] for place in places], right=figures)
    for row in rows:
        add_row(shown, *(row[place] for place in places))
    return shown, [head for place, head in enumerate(heads) if place not in places]


def _summary(ended: SweepEnded, out: Path, left_out: list[str]) -> str:
    from aedeploy.training.sweep.grid import label
    from aedeploy.training.sweep.results import RESULTS

    lines = [
        f"{ended.trained} trained, {ended.skipped} done before, {ended.failed} failed, in {ended.seconds:.1f} s"
        f" → {', '.join(str(out / name) for name in RESULTS)}"
    ]
    if ended.table.best:
        lines.insert(0, "* the best of its column")
    if left_out:
        lines.insert(0, f"not shown, for want of room: {', '.join(left_out)}")
    lines += [f"  failed   {label(each.values)}: {each.reason}" for each in ended.table.failures]
    return "\n".join(lines)
