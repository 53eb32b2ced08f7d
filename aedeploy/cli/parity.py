"""``aedeploy parity``: every exported graph against PyTorch, in figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.options import BundleArgument, Debug, Json, Quiet, Verbose
from aedeploy.cli.tables import add_row, columns, mark, places_that_fit
from aedeploy.errors import ParityError

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table
    from rich.text import Text

    from aedeploy.bundle import Bundle
    from aedeploy.parity.report import ParityReport

# Left out where the window is too narrow, the first of them first: none of them is judged but the last two.
_SPARE = ("cosine", "relative", "mean error", "PSNR dB", "decided\notherwise", "8-bit pixels\nchanged")


@reporting
def parity(
    bundle: BundleArgument = None,
    *,
    format: Annotated[
        list[str] | None, typer.Option("--format", "-f", help="Check this format only; may be repeated.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="A folder of images to use in place of the bundle's own held-out ones.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Check the exported graphs against PyTorch.

    Real images, black, white, constant, checkerboard and noise, at batch 1, 2, 7 and 64, through each graph alone
    and through encoder → decoder composed. A figure beyond its tolerance, a NaN or a wrong shape ends the command
    with exit code 5. The report is kept in the bundle as parity.json.

    Example:

        aedeploy parity artifacts/digits-ae --format onnx
    """
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.parity.check import check_parity, record_parity

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = find_bundle(bundle)
    output.note(f"Checking {found.path} against PyTorch…")
    images = None if samples is None else _read_samples(found, samples)
    report = check_parity(found, format, images)
    record_parity(found, report)
    for graph in report.graphs:
        kinds = ", ".join(dict.fromkeys(f"{case.kind} {case.size}" for case in graph.cases))
        output.detail(f"{graph.format} {graph.role}, by {graph.backend}: {len(graph.cases)} comparisons, {kinds}")
    output.show(parity_table(report, output.width))
    compared = sum(len(graph.cases) for graph in report.graphs)
    well = f"Every graph computes what PyTorch computes, in {compared} comparisons."
    output.result(report.as_dict(), well if report else None)
    if not report:
        output.error(f"The export is wrong: {'; '.join(report.failures())}.")
        raise typer.Exit(ParityError.exit_code)


def parity_table(report: ParityReport, width: int) -> Table:
    """One line for each output of each graph: its worst case, and the tolerance that judged it."""
    figures = ["max error", "tolerance", "mean error", "relative", "cosine", "PSNR dB", "8-bit pixels\nchanged"]
    # Of indices and masks; most models have none.
    decided = any(graph.decisions for graph in report.graphs)
    figures += ["decided\notherwise"] if decided else []
    names = ("graph", "output", *figures, "")
    rows = list(_rows(report, decided=decided))
    places = places_that_fit(names, rows, width, right=figures, spare=_SPARE)
    title = f"Parity of {report.bundle} with PyTorch ({report.reference})"
    table = columns(title, [names[place] for place in places], right=figures)
    for row in rows:
        add_row(table, *(row[place] for place in places))
    return table


def _rows(report: ParityReport, *, decided: bool) -> Iterator[tuple[str | Text, ...]]:
    for graph in report.graphs:
        for worst in graph.worst():
            yield (
                f"{graph.format} {graph.role}",
                worst.output,
                _figure(worst.max_abs, ".1e"),
                "" if worst.limit is None else f"≤ {worst.limit:.1e}",
                _figure(worst.mean_abs, ".1e"),
                _figure(worst.relative, ".1e"),
                _figure(worst.cosine, ".7f"),
                _figure(worst.psnr, ".1f", "equal" if worst.max_abs == 0 else "–") if worst.pixels else "",
                _figure(graph.changed_share, ".4%") if worst.pixels else "",
                *([_decisions(graph.decisions if worst.decisions else None)] if decided else []),
                mark(bool(graph)),
            )
        if not list(graph.worst()):
            yield f"{graph.format} {graph.role}", *[""] * (9 if decided else 8), mark(False)


def _decisions(decisions: tuple[int, int] | None) -> str:
    return "" if decisions is None else f"{decisions[0]:,} of {decisions[1]:,}"


def _figure(value: float | None, form: str, absent: str = "–") -> str:
    return absent if value is None else format(value, form)


def _read_samples(bundle: Bundle, folder: Path) -> np.ndarray:
    """Up to 64 images of a folder, as the bundle's image contract wants them: uint8 [N, H, W, C]."""
    import numpy as np

    from aedeploy.errors import ImageError, NothingToDoError
    from aedeploy.images.folder import list_images
    from aedeploy.images.read import read_image
    from aedeploy.runtime.codec import image_geometry

    geometry = image_geometry(bundle)
    images = []
    listing = list_images(folder)
    for name in listing.images:
        try:
            images.append(geometry.apply(read_image(listing.root / name, geometry.mode)))
        except ImageError:
            continue
        if len(images) == 64:
            break
    if not images:
        raise NothingToDoError(f"--samples {folder}: none of its files can be read as an image.")
    return np.stack(images)
