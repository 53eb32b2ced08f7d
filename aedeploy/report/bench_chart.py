"""The chart of a benchmark: how many images a second each variant gives, the fastest first."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aedeploy.bench.contenders import BASELINE_NAME
from aedeploy.bench.result import LEAST_LOSS, BenchReport, Row
from aedeploy.errors import MissingDependencyError
from aedeploy.files import replacing

#: The file of each chart, by the page that it is for.
CHARTS = {"light": "bench-light.png", "dark": "bench-dark.png"}
_DOTS_PER_INCH = 160
_WIDTH_INCHES, _HEAD_INCHES, _ROW_INCHES = 7.5, 0.92, 0.36


@dataclass(frozen=True, kw_only=True)
class _Colours:
    page: str
    text: str
    faint: str
    bar: str
    best: str
    baseline: str
    wrong: str


_COLOURS = {
    "light": _Colours(
        page="#ffffff",
        text="#1f2328",
        faint="#59636e",
        bar="#8fb4e3",
        best="#1f6feb",
        baseline="#b6bec8",
        wrong="#c9372c",
    ),
    "dark": _Colours(
        page="#0d1117",
        text="#e6edf3",
        faint="#9aa4b0",
        bar="#3d5f8f",
        best="#58a6ff",
        baseline="#57606c",
        wrong="#ff7b72",
    ),
}


def write_bench_charts(report: BenchReport, folder: Path) -> list[Path]:
    """Draw the chart for light and for dark pages, and give their paths.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingDependencyError("matplotlib", "pictures", "The chart")
    rows = sorted((row for row in report.rows if row.measured), key=lambda row: row.images_per_second or 0.0)
    paths = []
    for page, name in CHARTS.items():
        figure = _draw(report, rows, _COLOURS[page])
        with replacing(folder / name) as partial:
            # Without its own version and date in the file: the same figures are the same bytes.
            figure.savefig(
                partial, format="png", dpi=_DOTS_PER_INCH, facecolor=_COLOURS[page].page, metadata={"Software": None}
            )
        paths.append(folder / name)
    return paths


def _draw(report: BenchReport, rows: Sequence[Row], colours: _Colours) -> Any:
    """Off the screen, whatever the user's own settings of matplotlib are."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(mpl.rcParamsDefault):
        height = _HEAD_INCHES + _ROW_INCHES * max(1, len(rows))
        figure = Figure(figsize=(_WIDTH_INCHES, height))
        figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - _HEAD_INCHES / height))
        title = figure.text(
            0.015, 1 - 0.32 / height, report.headline, fontsize=13, fontweight="bold", color=colours.text
        )
        style = {"fontsize": 8.5, "color": colours.faint}
        lines = [
            figure.text(0.015, 1 - at / height, line, style)
            for at, line in zip((0.56, 0.75), _caption(report), strict=True)
        ]
        for text in (title, *lines):
            text.set_parse_math(False)  # a name with two dollar signs is a name
        _bars(figure.add_subplot(), report, rows, colours)
    return figure


def _bars(axes: Any, report: BenchReport, rows: Sequence[Row], colours: _Colours) -> None:
    several = len({row.device for row in rows}) > 1
    values = [row.images_per_second or 0.0 for row in rows]
    for at, (row, value) in enumerate(zip(rows, values, strict=True)):
        wrong = row.status == "failed parity"
        fill = "none" if wrong else _fill(row, report, colours)
        axes.barh(at, value, height=0.66, color=fill, edgecolor=colours.wrong if wrong else fill, linewidth=1.2)
        axes.annotate(
            _label(row),
            (value, at),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=colours.wrong if wrong else colours.text,
        )
    names = [f"{row.variant} ({row.device})" if several else row.variant for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=10, color=colours.text)
    axes.set_xlim(0, 1.34 * max(values, default=1.0))
    axes.set_xticks([])
    axes.margins(y=0.01)
    axes.tick_params(length=0)
    axes.set_facecolor(colours.page)
    axes.spines[:].set_visible(False)


def _fill(row: Row, report: BenchReport, colours: _Colours) -> str:
    if row == report.fastest:
        return colours.best
    return colours.baseline if row.variant == BASELINE_NAME else colours.bar


def _label(row: Row) -> str:
    """The figure behind a bar, and what speaks against it."""
    parts = [f"{row.images_per_second:,.0f}"]
    if row.status == "failed parity":
        parts.append("fails parity")
    elif row.psnr_lost is not None and row.psnr_lost >= LEAST_LOSS:
        parts.append(f"{row.psnr_lost:.2f} dB lost")
    return "   ".join(parts)


def _caption(report: BenchReport) -> tuple[str, str]:
    """What was measured, and on what."""
    threads = f"{report.threads} thread{'' if report.threads == 1 else 's'}"
    size = " × ".join(map(str, report.image_shape))
    graph = f"{report.role} of {_short(report.bundle, 40)}, {size}"
    return (
        f"Images a second through the {graph}, at a batch of {report.batch}",
        f"{threads}, {_short(str(report.machine['processor']), 80)}",
    )


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
