"""``aedeploy report``: a bundle on one page that opens anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import Output, counted, reporting
from aedeploy.cli.jobs import SOME_FAILED
from aedeploy.cli.options import (
    AllowFailed,
    BundleArgument,
    BundleOption,
    Debug,
    Device,
    Json,
    LookedAtRoot,
    ModelFormat,
    Quiet,
    Verbose,
    one_bundle,
)

if TYPE_CHECKING:
    from aedeploy.bundle import Bundle
    from aedeploy.report import Report, ReportOptions


@reporting
def report(
    bundle: BundleArgument = None,
    *,
    bundle_option: BundleOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Of which images the pictures are: digits, mnist, fashion-mnist, cifar10, or a PATH: a folder of "
            "images or idx files, or an .npz. Default: what the bundle was trained on, or else the samples in it.",
        ),
    ] = None,
    data_root: LookedAtRoot = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the page goes. Default: report.html in the bundle."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many images, evenly spaced.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of whatever is drawn at random.")] = 0,
    backend: Annotated[
        str | None,
        typer.Option(help="What runs the graphs (aedeploy list backends); eager draws by the weights themselves."),
    ] = None,
    model_format: ModelFormat = None,
    device: Device = "cpu",
    allow_failed: AllowFailed = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Write a page that says what a bundle is, what was proven and measured, and what it has learned.

    The contract, sizes, metrics, training curves, parity, the benchmark beside the bundle, and every picture that
    applies to the model. One file that loads nothing: it opens from the disk, on a phone, in light and dark, on paper,
    and, where scripts may run, answers to pointer and keys. A file of the data that cannot be read is listed, and the
    command ends with exit code 3.

    Examples:

        aedeploy report

        aedeploy report artifacts/mnist-vae --data mnist --data-root data/

        aedeploy report denoiser-gray --data photos/ --out denoiser.html
    """
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.report import ReportOptions

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = find_bundle(one_bundle(bundle, bundle_option))
    options = ReportOptions(
        data=data,
        root=data_root,
        out=out,
        limit=limit,
        seed=seed,
        backend=backend,
        format=model_format,
        device=device,
        allow_failed=allow_failed,
    )
    output.note(f"Bundle: {found.path}")
    written = _written(found, options, output)
    _say(written, output)
    if written.failures:
        raise typer.Exit(SOME_FAILED)


def _written(bundle: Bundle, options: ReportOptions, output: Output) -> Report:
    """Write it, with a line for each picture on a terminal."""
    from rich import progress

    from aedeploy.cli.large_imports import large_imports

    with large_imports():
        from aedeploy.report import Begun, NotDrawn, Report, writing_report

    shown = output.messages
    with progress.Progress(console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("report", total=None)
        for event in writing_report(bundle, options):
            if isinstance(event, Report):
                return event
            if isinstance(event, Begun):
                bar.update(task, description=event.kind, completed=event.number - 1, total=event.total)
            elif isinstance(event, NotDrawn):
                output.detail(f"  {event.kind}: {event.reason}")
            elif shown.is_terminal:
                output.note(f"  {event.kind}")
    raise AssertionError  # a generator that did not raise has ended with it


def _say(written: Report, output: Output) -> None:
    from aedeploy.cli.evaluation_tables import failure_lines

    left = len(written.not_drawn)
    lines = [
        f"{written.path}: {counted(len(written.pictures), 'picture')}, {written.bytes / 1e6:.2f} MB, "
        f"{written.seconds:.1f} s",
        *([f"{counted(left, 'picture')} not drawn; the page says why"] if left else []),
    ]
    if written.failures:
        lines.append(f"{counted(len(written.failures), 'file')} could not be read:")
        lines += list(failure_lines(written.failures, len(written.failures)))[1:]
    output.result(
        {
            "bundle": written.bundle,
            "report": str(written.path),
            "bytes": written.bytes,
            "pictures": list(written.pictures),
            "not_drawn": [{"kind": one.kind, "reason": one.reason} for one in written.not_drawn],
            "failures": [{"path": one.path, "reason": one.reason} for one in written.failures],
            "seconds": round(written.seconds, 3),
        },
        "\n".join(lines),
    )
