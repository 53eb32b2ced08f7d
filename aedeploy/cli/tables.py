"""The one look of all tables. A name with [brackets] is not markup: everything in them is plain text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def columns(title: str, names: Sequence[str], *, right: Collection[str] = ()) -> Table:
    """An empty table with a title and headed columns, those of ``right`` aligned there."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="italic"), title_justify="left", box=SIMPLE_HEAD, min_width=len(title))
    for name in names:
        table.add_column(name, overflow="fold", justify="right" if name in right else "left")
    return table


def add_row(table: Table, *cells: str | Text) -> None:
    """A row of cells."""
    from rich.text import Text

    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def mark(passed: bool | None) -> Text:
    """How a check that passed is marked, one that failed, and one that could not be made here."""
    from rich.text import Text

    if passed is None:
        return Text("not run")
    return Text("passed", style="green") if passed else Text("failed", style="red")
