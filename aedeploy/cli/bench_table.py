"""What ``aedeploy bench`` found, as a table for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aedeploy.cli.console import counted
from aedeploy.cli.tables import add_row, columns, places_that_fit

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from aedeploy.bench import BenchReport, Row

# Left out where the window is too narrow, the first of them first.
_SPARE = ("load ms", "p95 ms", "peak MB", "max error", "MB")


def bench_table(report: BenchReport, width: int) -> Iterator[RenderableType]:
    """The table, and a line for each row that could not be measured."""
    from rich.text import Text

    several = len({row.device for row in report.rows}) > 1 or report.rows[0].device != "cpu"
    throughput = f"images/s\nat {report.batch}"
    figures = ("MB", "load ms", "ms at 1", "p95 ms", throughput, "× onnx", "peak MB", "max error", "dB lost")
    names = ("variant", *(["device"] if several else []), "status", *figures)
    rows = [_cells(row, several=several) for row in report.rows]
    places = places_that_fit(names, rows, width, right=figures, spare=_SPARE)
    threads, rounds = counted(report.threads, "thread"), counted(report.rounds, "round")
    size = " × ".join(map(str, report.image_shape))
    title = f"{report.bundle}: {report.role}, {size}, {threads}, {rounds}, {report.machine['processor']}"
    table = columns(title, [names[place] for place in places], right=figures)
    table.columns[0].no_wrap = True
    for cells in rows:
        add_row(table, *(cells[place] for place in places))
    yield table
    for row in report.rows:
        if row.reason:
            yield Text(f"  {row.variant}{f' on {row.device}' if several else ''}: {row.reason}")


def _cells(row: Row, *, several: bool) -> list[str | Text]:
    return [
        row.variant,
        *([row.device] if several else []),
        _status(row),
        _figure(row.bytes, ".2f" if (row.bytes or 0) >= 1e5 else ".4f", 1e-6),
        _figure(row.load_ms, ".1f"),
        _figure(row.latency_ms, ".2f"),
        _figure(row.latency_p95_ms, ".2f"),
        _figure(row.images_per_second, ",.0f"),
        _figure(row.against_onnx, ".2f"),
        _figure(row.peak_bytes, ".0f", 1e-6),
        _figure(row.max_error, ".1e"),
        _figure(None if row.psnr_lost is None else row.psnr_lost + 0.0, ".2f").replace("-0.00", "0.00"),
    ]


def _status(row: Row) -> Text:
    from rich.text import Text

    colours = {"passed": "green", "baseline": "default", "unchecked": "yellow", "engine missing": "yellow"}
    return Text(row.status, style=colours.get(row.status, "red"))


def _figure(value: float | None, form: str, scale: float = 1.0) -> str:
    return "" if value is None else format(value * scale, form)
