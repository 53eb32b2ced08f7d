"""What other commands measured of a bundle and left beside it: ``bench`` in BUNDLE-bench, ``evaluate --denoising`` in
BUNDLE-denoising. Neither writes into the bundle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aedeploy.bundle import Bundle
from aedeploy.evaluation.denoising.result import JSON_FILE
from aedeploy.report.paths import Paths, word_for
from aedeploy.report.tables import Cell, Look, Note, Row, Table, figure, mapping, objects

#: What ``aedeploy bench`` writes.
BENCH_FILE = "bench.json"

_LOOKS: dict[str, Look] = {"passed": "passed", "baseline": "plain", "unchecked": "unchecked", "failed parity": "failed"}


def speed_parts(bundle: Bundle, paths: Paths) -> tuple[Table | Note, ...]:
    """The benchmark beside a bundle; a note where there is none of this model."""
    report = _read(_beside(bundle, "bench") / BENCH_FILE)
    if report is None:
        return (Note(text=f"Nothing was measured, or not beside the bundle: run `aedeploy bench {word_for(bundle)}`."),)
    if report.get("digest") != bundle.manifest.digest:
        said = f"{BENCH_FILE} beside the bundle is of another model: run `aedeploy bench {word_for(bundle)}` again."
        return (Note(text=said, look="warning"),)
    rows = objects(report.get("rows"))
    most = max((_number(row.get("images_per_second")) for row in rows), default=0.0) or 1.0
    head = ("variant", "status", f"images a second at {report.get('batch')}", "ms at 1", "load, ms", "peak MB", "MB")
    table = Table(
        label="Speed",
        head=(*head, "largest error", "dB lost"),
        rows=tuple(_speed(row, most, paths) for row in rows),
    )
    notes = [Note(text=f"{paths.hidden(str(report.get('headline')))}.")]
    verdicts = report.get("verdicts")
    if isinstance(verdicts, list):
        notes += [Note(text=paths.hidden(str(said)), look="warning") for said in verdicts]
    return (*notes, table, Note(text=_conditions(report)))


def denoising_parts(bundle: Bundle, paths: Paths) -> tuple[Table | Note, ...]:
    """What ``evaluate --denoising`` found; empty where it left nothing beside the bundle."""
    report = _read(_beside(bundle, "denoising") / JSON_FILE)
    results = objects(report.get("results")) if report else []
    if report is None or report.get("bundle") != bundle.name or not results:
        return ()
    rows = tuple(
        Row(
            cells=(
                figure(result.get("sigma"), "g"),
                Cell(text=str(result.get("method"))),
                figure(result.get("psnr"), ".2f"),
                figure(result.get("ssim"), ".3f"),
                figure(result.get("megapixels_per_second"), ".2f", ""),
            )
        )
        for result in results
    )
    data = paths.hidden(str(report.get("data")))
    where = f"On {figure(report.get('images'), ',').text} images of {data}. Whether they are of these weights is not "
    where += "recorded: the file says the bundle's name alone."
    table = Table(label="Noise removed", head=("σ", "method", "PSNR, dB", "SSIM", "megapixels a second"), rows=rows)
    return (table, Note(text=where))


def _beside(bundle: Bundle, what: str) -> Path:
    path = bundle.path.absolute()
    return path.with_name(f"{path.name}-{what}")


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        return mapping(json.loads(path.read_text(encoding="utf-8"))) or None
    except (OSError, ValueError, RecursionError):
        return None


def _speed(row: Mapping[str, Any], most: float, paths: Paths) -> Row:
    status, speed = str(row.get("status")), row.get("images_per_second")
    device = "" if row.get("device") == "cpu" else f" on {row.get('device')}"
    reason = row.get("reason")
    failed = status == "failed parity"
    return Row(
        cells=(
            Cell(text=f"{row.get('variant')}{device}"),
            Cell(text="FAILED parity" if failed else status, look=_LOOKS.get(status, "unchecked")),
            Cell(text=figure(speed, ",.0f").text, look="figure", share=_number(speed) / most if speed else None),
            figure(row.get("latency_ms"), ".2f"),
            figure(row.get("load_ms"), ".1f"),
            figure(_scaled(row.get("peak_bytes")), ".0f"),
            figure(_scaled(row.get("bytes")), ".2f"),
            figure(row.get("max_error"), ".1e"),
            figure(row.get("psnr_lost"), ".2f"),
        ),
        failed=failed,
        note=paths.hidden(f"{row.get('variant')}: {reason}") if reason else None,
    )


def _conditions(report: Mapping[str, Any]) -> str:
    machine, shape = mapping(report.get("machine")), report.get("image_shape")
    size = " × ".join(map(str, shape)) if isinstance(shape, list) else "?"
    threads, rounds = report.get("threads"), report.get("rounds")
    return (
        f"The {report.get('role')} on images of {size}, {threads} thread{'' if threads == 1 else 's'}, "
        f"{rounds} round{'' if rounds == 1 else 's'}, on {machine.get('processor')}."
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _scaled(value: object) -> float | None:
    return None if value is None else _number(value) / 1e6
