"""The one look of all tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

#: How a passed and a failed check are marked; ``None``: it could not be made here.
MARKS = {True: "[green]passed[/]", False: "[red]failed[/]", None: "not run"}


def columns(title: str, names: Sequence[str], *, right: Collection[str] = ()) -> Table:
    """An empty table with a title and headed columns, those of ``right`` aligned there."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, min_width=len(title))
    for name in names:
        table.add_column(name, overflow="fold", justify="right" if name in right else "left")
    return table
