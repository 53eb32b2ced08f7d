"""``aedeploy conform``: does somebody's own program compute what the golden vectors say?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.golden_table import golden_table
from aedeploy.cli.options import BundleArgument, Debug, Json, Quiet, Verbose
from aedeploy.cli.tables import add_row, columns, mark
from aedeploy.errors import IntegrityError, NothingToDoError

if TYPE_CHECKING:
    from rich.table import Table

    from aedeploy.parity.conform import ConformReport

_COMMAND = "aedeploy.conform.command"


class ConformCommand(TyperCommand):
    """What comes after ``--`` is somebody else's command line, whatever it looks like."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            args, ctx.meta[_COMMAND] = args[:at], args[at + 1 :]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND…"]


@reporting
def conform(
    context: typer.Context,
    bundle: BundleArgument = None,
    *,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images that the program reads itself: its latents are held against ours."),
    ] = None,
    image_tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="X", min=0.0, help="Fail where a latent of --images is further off. Default: it is told only."
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", help="Of the graphs that the program computes: judged by its tolerances."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that an answer may take.")] = 60.0,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Feed a bundle's golden vectors to any program, and check what it answers.

    The program is started with its stdin and stdout as pipes, and speaks a small protocol: docs/embedding.md. What
    it answers is judged as `aedeploy verify` judges our own engines; anything off ends the command with exit code 5.

    Example:

        aedeploy conform artifacts/digits-ae -- ./my-port --quiet
    """
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.parity.conform import conform as run

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = find_bundle(bundle)
    if bundle is None:
        output.note(f"Bundle: {found.path}")
    report = run(
        found,
        context.meta.get(_COMMAND, ()),
        format=format,
        images=_listed(images) if images is not None else (),
        image_tolerance=image_tolerance,
        timeout=timeout,
    )
    output.show(*_tables(report))
    for result in report.results:
        if result.passed is None:
            output.note(f"{result.subject}: {result.reason}")
    skipped = [result.subject.rpartition(" ")[2] for result in report.results if result.passed is None]
    but = f" of what it does; not proven, for it skips it: {', '.join(skipped)}" if skipped else ""
    well = f"The program conforms to bundle {found.name}: every golden vector agrees{but}."
    output.result(report.as_dict(), well if report else None)
    if not report:
        output.error(f"The program does not conform to bundle {found.name!r}: {'; '.join(report.failures()[:5])}.")
        raise typer.Exit(IntegrityError.exit_code)


def _listed(folder: Path) -> list[Path]:
    from aedeploy.images.folder import list_images

    listing = list_images(folder)
    if not listing.images:
        raise NothingToDoError(f"--images {folder}: there is no image in it.")
    return [listing.root / name for name in listing.images]


def _tables(report: ConformReport) -> Iterator[Table]:
    yield golden_table(report.results)
    if report.images:
        table = columns(
            "image files", ("file", "latent's max error", "of at most", ""), right=("latent's max error", "of at most")
        )
        for image in report.images:
            add_row(
                table,
                Path(image.path).name,
                "" if image.max_abs is None else f"{image.max_abs:.1e}",
                "" if image.peak is None else f"{image.peak:.2g}",
                image.reason or ("" if image.passed is None else mark(image.passed)),
            )
        yield table
