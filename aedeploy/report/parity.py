"""The last parity report of a bundle as a table, and what it does not say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aedeploy.bundle import Bundle
from aedeploy.bundle.manifest import variant_name
from aedeploy.bundle.store import PARITY_FILE
from aedeploy.report.paths import Paths, word_for
from aedeploy.report.tables import Cell, Note, Row, Table, figure, mapping, objects, verdict

# Outputs that are images; parity judges them by more than their largest error.
_IMAGES = ("image", "reconstruction")
# More pairs of formats than this that passed are behind a line that opens.
_MOST_PAIRS = 6
_HEAD = (
    "graph",
    "parity",
    "output",
    "largest error",
    "tolerance",
    "PSNR, dB",
    "8-bit pixels changed",
    "decided otherwise",
)
# Of these columns there are always figures.
_ALWAYS = 5


def parity_parts(bundle: Bundle, paths: Paths) -> tuple[Table | Note, ...]:
    """The table of ``parity.json``, and notes where it and the manifest do not speak of the same graphs."""
    path = bundle.path / PARITY_FILE
    if not path.is_file() and not bundle.manifest.graphs:
        return (Note(text="Nothing was exported, so nothing was compared."),)
    if not path.is_file():
        return (Note(text=f"There is no {PARITY_FILE}: run `aedeploy parity {word_for(bundle)}` to write one."),)
    try:
        report = mapping(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        report = {}
    results = objects(report.get("results"))
    if not results:
        return (
            Note(text=f"{PARITY_FILE} cannot be read: run `aedeploy parity {word_for(bundle)}` again.", look="warning"),
        )
    pairs = [result for result in results if result.get("decoder") and result.get("passed") is True]
    folded = pairs if len(pairs) > _MOST_PAIRS else []
    shown = [result for result in results if not any(result is pair for pair in folded)]
    parts: list[Table | Note] = list(_notes(bundle, report, results))
    parts.append(_table("Parity with PyTorch", shown, paths))
    if folded:
        parts.append(_table(f"{len(folded)} pairs of formats, all of which passed", folded, paths, folded=True))
    return tuple(parts)


def _table(label: str, results: list[Mapping[str, Any]], paths: Paths, *, folded: bool = False) -> Table:
    rows = [row for result in results for row in _rows(result, paths)]
    # Most models decide nothing, and only images have pixels.
    kept = [at for at in range(len(_HEAD)) if at < _ALWAYS or _has(rows, at)]
    return Table(
        label=label,
        head=tuple(_HEAD[at] for at in kept),
        rows=tuple(Row(cells=tuple(row.cells[at] for at in kept), failed=row.failed, note=row.note) for row in rows),
        folded=folded,
    )


def _has(rows: list[Row], at: int) -> bool:
    return any(row.cells[at].text for row in rows)


def _rows(result: Mapping[str, Any], paths: Paths) -> Iterator[Row]:
    passed = result.get("passed") is True
    outputs = objects(result.get("worst"))
    reason = result.get("reason")
    said = None if passed else paths.hidden(str(reason or "no reason is recorded"))
    for at, worst in enumerate(outputs):
        output = str(worst.get("output"))
        yield Row(
            cells=(
                Cell(text=_name(result)),
                verdict("passed" if passed else "failed"),
                Cell(text=output, look="name"),
                figure(worst.get("max_abs"), ".1e"),
                Cell(text=_tolerance(result, worst, output), look="figure"),
                figure(result.get("psnr") if output in _IMAGES else None, ".1f", ""),
                figure(result.get("changed_pixels_share") if output in _IMAGES else None, ".4%", ""),
                Cell(text=_decisions(result) if worst.get("decisions") else "", look="figure"),
            ),
            failed=not passed,
            note=f"{_name(result)}: {said}" if said and at == len(outputs) - 1 else None,
        )
    if not outputs:
        nothing = (Cell(text="") for _ in _HEAD[2:])
        yield Row(
            cells=(Cell(text=_name(result)), verdict("passed" if passed else "failed"), *nothing),
            failed=not passed,
            note=f"{_name(result)}: {said}" if said else None,
        )


def _name(result: Mapping[str, Any]) -> str:
    variant = _variant(result)
    decoder = result.get("decoder")
    return f"{variant} encoder→{decoder} decoder" if decoder else f"{variant} {result.get('role')}"


def _variant(result: Mapping[str, Any]) -> str:
    return variant_name(str(result.get("format")), "uint8" if result.get("pixels") == "uint8" else "float32")


def _tolerance(result: Mapping[str, Any], worst: Mapping[str, Any], output: str) -> str:
    """What judged an output: of each call, or of all together."""
    tolerances = mapping(result.get("tolerances"))
    if output == "indices":
        return f"gap ≤ {figure(tolerances.get('gap'), '.0e').text}"
    if worst.get("limit") is not None:
        return f"≤ {figure(worst['limit'], '.1e').text}"
    own = mapping(tolerances.get("image" if output in _IMAGES else output))
    if own.get("psnr") is not None:
        return f"≥ {figure(own['psnr'], 'g').text} dB"
    return "" if own.get("norm") is None else f"relative ≤ {figure(own['norm'], 'g').text}"


def _decisions(result: Mapping[str, Any]) -> str:
    return f"{figure(result.get('decided_otherwise'), ',').text} of {figure(result.get('decisions'), ',').text}"


def _notes(bundle: Bundle, report: Mapping[str, Any], results: list[Mapping[str, Any]]) -> Iterator[Note]:
    manifest = bundle.manifest
    if report.get("bundle") != manifest.name:
        yield Note(text=f"{PARITY_FILE} is of a bundle that is called {report.get('bundle')!r}.", look="warning")
    have: dict[tuple[str, str], str] = {(graph.variant, graph.role): graph.parity for graph in manifest.graphs}
    seen = {
        (_variant(result), str(result.get("role"))): result.get("passed") is True
        for result in results
        if not result.get("decoder") and (str(result.get("role")) in ("encoder", "decoder", "autoencoder"))
    }
    missing = [" ".join(one) for one in have if one not in seen]
    if missing:
        yield Note(
            text=f"Not in this report, which is of the last run alone: {', '.join(missing)}. What the manifest says of "
            "them is in the table of the graphs."
        )
    others = [" ".join(one) for one in seen if one not in have]
    if others:
        yield Note(text=f"Of graphs that the bundle does not have (any more): {', '.join(others)}.", look="warning")
    # A graph that passes alone fails with the other half of it, so only this way round they contradict each other.
    denied = [" ".join(one) for one, passed in seen.items() if not passed and have.get(one) == "passed"]
    if denied:
        yield Note(
            text=f"The manifest says of {', '.join(denied)} that parity passed: it is of another export than this "
            "report, so run `aedeploy parity` again.",
            look="warning",
        )
    overrides = {**mapping(report.get("overrides"))}
    if overrides:
        named = ", ".join(f"{name} {figure(value, 'g').text}" for name, value in overrides.items())
        yield Note(text=f"Judged by tolerances that are not the usual ones: {named}.", look="warning")
