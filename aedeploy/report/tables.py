"""A table of a page: cells of plain text, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Look = Literal["plain", "name", "figure", "passed", "failed", "unchecked"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """``look``: what the text is; a name is set as in code, a figure to the right, a verdict in a colour beside its
    word. ``share``: of a figure, the length of a bar beside it, from 0 to 1.
    """

    text: str
    look: Look = "plain"
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """``failed``: its whole line stands out. ``note``: a line below it, over all columns."""

    cells: tuple[Cell, ...]
    failed: bool = False
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """``label``: what it is a table of; the box that it scrolls in is called so. ``folded``: behind its label, until
    somebody opens it.
    """

    part: ClassVar[str] = "table"

    label: str
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    folded: bool = False

    @property
    def right(self) -> tuple[bool, ...]:
        """Which columns have figures only."""
        columns = zip(*(row.cells for row in self.rows), strict=False)
        looks = [all(cell.look == "figure" or not cell.text for cell in column) for column in columns]
        return tuple(looks) if looks else tuple(False for _ in self.head)


@dataclass(frozen=True, kw_only=True)
class Note:
    """A sentence that must be known."""

    part: ClassVar[str] = "note"

    text: str
    look: Literal["plain", "warning"] = "plain"


_VERDICTS: dict[str, Cell] = {
    "passed": Cell(text="passed", look="passed"),
    "failed": Cell(text="FAILED", look="failed"),
    "unchecked": Cell(text="unchecked", look="unchecked"),
}


def verdict(said: str) -> Cell:
    """``passed``, ``failed`` or ``unchecked``, in a word that is told apart without its colour too."""
    return _VERDICTS[said]


def figure(value: object, form: str, absent: str = "–") -> Cell:
    """A number from a file that may hold anything, as text."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Of what rounds to nothing, the sign says nothing either.
    text = format(value, form) if number else absent
    return Cell(text=text.removeprefix("-") if not text.strip("-0.%") else text, look="figure")


def mapping(value: object) -> Mapping[str, Any]:
    """What a file has where there should be an object."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Mapping[str, Any]]:
    """What a file has where there should be a list of objects."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def bytes_text(size: int) -> str:
    """A size for a person."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.2f} MB"
