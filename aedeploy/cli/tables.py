"""The one look of all tables. A name with [brackets] is not markup: everything in them is plain text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# Between two columns, and at the edges half of it each.
_GAP = 3


def columns(title: str, names: Sequence[str], *, right: Collection[str] = ()) -> Table:
    """An empty table with a title and headed columns, those of ``right`` aligned there."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="italic"), title_justify="left", box=SIMPLE_HEAD, min_width=len(title))
    for name in names:
        # A figure in two lines reads as two figures, and one that is cut must look it.
        figures = name in right
        table.add_column(
            name,
            overflow="ellipsis" if figures else "fold",
            justify="right" if figures else "left",
            no_wrap=figures,
        )
    return table


def places_that_fit(
    names: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    width: int,
    *,
    right: Collection[str],
    spare: Sequence[str],
) -> list[int]:
    """The places of the columns that a window of ``width`` has room for: where it is too narrow, those of ``spare``
    are left out, the first of them first, until it is not. Text may be broken between words, figures may not.
    """
    from rich.cells import cell_len

    def taken(place: int) -> int:
        texts = [names[place], *(str(row[place]) for row in rows)]
        whole = names[place] in right
        pieces = (piece for text in texts for piece in (text.splitlines() if whole else text.split()))
        return _GAP + max(map(cell_len, pieces), default=0)

    kept = list(range(len(names)))
    for name in spare:
        if sum(map(taken, kept)) <= width:
            break
        if name in names:
            kept.remove(names.index(name))
    return kept


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
