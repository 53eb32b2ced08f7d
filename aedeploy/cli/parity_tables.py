"""How a parity report is shown: one line for each output of each graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aedeploy.bundle.manifest import variant_name
from aedeploy.cli.tables import add_row, columns, mark, places_that_fit

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from aedeploy.export.bisect import Bisection
    from aedeploy.parity.compare import Comparison
    from aedeploy.parity.report import GraphResult, ParityReport

# Left out where the window is too narrow, the first of them first: none of them is judged but the last ones.
_SPARE = ("cosine", "mean error", "relative", "decided\notherwise", "PSNR dB", "8-bit pixels\nchanged")

#: More pairs of formats than this are shown by encoder.
_MOST_PAIRS = 6


def parity_table(report: ParityReport, width: int) -> Table:
    """One line for each output of each graph: its worst call, and the tolerance that judged it.

    Relative error, PSNR and changed pixels are of all calls together.
    """
    figures = ["max error", "tolerance", "mean error", "relative", "cosine", "PSNR dB", "8-bit pixels\nchanged"]
    # Of indices and masks; most models have none.
    decided = any(graph.decisions for graph in report.graphs)
    figures += ["decided\notherwise"] if decided else []
    names = ("graph", "output", *figures, "")
    rows = [row for name, graph in _lines(report) for row in _rows(name, graph, decided=decided)]
    places = places_that_fit(names, rows, width, right=figures, spare=_SPARE)
    title = f"Parity of {report.bundle} with PyTorch ({report.reference})"
    table = columns(title, [names[place] for place in places], right=figures)
    for row in rows:
        add_row(table, *(row[place] for place in places))
    return table


def bisection_table(bisection: Bisection, width: int) -> Table:
    """The nodes around the first whose value is off, in the order in which they are computed."""
    figures = ("max error", "limit", "relative", "largest value")
    names = ("node", "operator", "module", *figures, "")
    rows = [
        (
            node.node,
            node.operator,
            node.module or "–",
            _figure(node.max_abs, ".1e"),
            "" if node.limit is None else f"≤ {node.limit:.1e}",
            _figure(node.relative, ".1e"),
            _figure(node.peak, ".1e"),
            mark(node.passed),
        )
        for node in bisection.around
    ]
    places = places_that_fit(names, rows, width, right=figures, spare=("largest value", "limit", "operator"))
    table = columns(f"Where {bisection.graph} differs from PyTorch", [names[at] for at in places], right=figures)
    for row in rows:
        add_row(table, *(row[at] for at in places))
    return table


def _lines(report: ParityReport) -> Iterator[tuple[str, GraphResult]]:
    """Each result under its name; where there are many pairs of formats, one line an encoder, and those that failed."""
    pairs = [graph for graph in report.graphs if graph.decoder]
    yield from ((graph.name, graph) for graph in report.graphs if not graph.decoder)
    if len(pairs) <= _MOST_PAIRS:
        yield from ((_pair(graph), graph) for graph in pairs)
        return
    for variant in dict.fromkeys(graph.variant for graph in pairs):
        own = [graph for graph in pairs if graph.variant == variant]
        passed = [graph for graph in own if graph]
        if passed:
            # The one that came nearest to its tolerance stands for all.
            yield f"{variant}→{len(passed)} others", max(passed, key=_nearness)
        yield from ((_pair(graph), graph) for graph in own if not graph)


def _pair(graph: GraphResult) -> str:
    return f"{graph.variant}→{variant_name(*graph.decoder)}" if graph.decoder else graph.name


def _nearness(graph: GraphResult) -> float:
    """How much of its tolerance the image that two formats make together has used up."""
    (worst,) = graph.worst()
    if worst.limit:
        return (worst.max_abs or 0.0) / worst.limit
    psnr, least = graph.overall[worst.output].psnr, graph.tolerances.of(worst.output).psnr
    return least / psnr if least and psnr else 0.0


def _rows(name: str, graph: GraphResult, *, decided: bool) -> Iterator[tuple[str | Text, ...]]:
    for worst in graph.worst():
        together = graph.overall.get(worst.output)
        is_image = together is not None and together.psnr is not None
        yield (
            name,
            worst.output,
            _figure(worst.max_abs, ".1e"),
            _tolerance(graph, worst),
            _figure(worst.mean_abs, ".1e"),
            _figure(together.relative if together else None, ".1e"),
            _figure(worst.cosine, ".7f"),
            _psnr(together.psnr if together else None) if is_image else "",
            _figure(together.changed_share if together else None, ".4%") if is_image else "",
            *([_decisions(graph) if worst.decisions else ""] if decided else []),
            mark(bool(graph)),
        )
    if not list(graph.worst()):
        yield name, *[""] * (9 if decided else 8), mark(False)


def _tolerance(graph: GraphResult, worst: Comparison) -> str:
    """What judged an output: of each call, or of all together."""
    if worst.output == "indices":
        return f"gap ≤ {graph.tolerances.gap:.0e}"
    if worst.limit is not None:
        return f"≤ {worst.limit:.1e}"
    tolerance = graph.tolerances.of(worst.output)
    if tolerance.psnr is not None:
        return f"≥ {tolerance.psnr:g} dB"
    return "" if tolerance.norm is None else f"relative ≤ {tolerance.norm:g}"


def _decisions(graph: GraphResult) -> str:
    if graph.decisions is None:
        return ""
    otherwise, decisions = graph.decisions
    gap = "" if graph.gap is None else f", gap {graph.gap:.0e}"
    return f"{otherwise:,} of {decisions:,}{gap}"


def _psnr(value: float | None) -> str:
    return "–" if value is None else "equal" if value == float("inf") else f"{value:.1f}"


def _figure(value: float | None, form: str, absent: str = "–") -> str:
    return absent if value is None else format(value, form)
