"""What a runtime made of the golden vectors, as a table: of ``aedeploy verify`` and ``aedeploy conform``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aedeploy.cli.tables import add_row, columns, mark

if TYPE_CHECKING:
    from rich.table import Table

    from aedeploy.parity.verify import VerifyResult


def golden_table(results: Sequence[VerifyResult]) -> Table:
    """A row a result, in their order; columns that no result fills are left out."""
    # Of indices and masks; most models have none.
    decided = ("decided\notherwise",) if any(result.decisions for result in results) else ()
    # Of formats that are judged by all batches together.
    together = any(result.output and not result.batch for result in results)
    figures = ("batch", "max error", "tolerance", *(("relative", "PSNR dB") if together else ()), *decided)
    table = columns("golden vectors", ("graph", "batch", "output", *figures[1:], ""), right=figures)
    for result in results:
        add_row(
            table,
            result.subject,
            "all" if result.output and not result.batch else str(result.batch or ""),
            result.output or "",
            _figure(result.max_abs, ".1e"),
            "" if result.limit is None else f"≤ {result.limit:.1e}",
            *((_figure(result.relative, ".1e"), _figure(result.psnr, ".1f")) if together else ()),
            *(f"{result.otherwise} of {result.decisions}" if result.decisions else "" for _ in decided),
            mark(result.passed),
        )
    return table


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
