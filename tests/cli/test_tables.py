"""What tables do in a window that is too narrow for them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from aedeploy.cli.tables import add_row, columns, places_that_fit

NAMES = ("graph", "max\nerror", "cosine", "")
ROWS = [("onnx encoder", "1.0e-07", "1.0000000", Text("passed")), ("onnx decoder", "1.0e-05", "–", Text("failed"))]
RIGHT = ("max\nerror", "cosine")


def places(width: int, *spare: str) -> list[int]:
    return places_that_fit(NAMES, ROWS, width, right=RIGHT, spare=spare)


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        # By word: encoder, decoder; by figure: 1.0e-07, 1.0000000; passed. Three between columns, and at the edges.
        (7 + 7 + 9 + 6 + 4 * 3, [0, 1, 2, 3]),
        (7 + 7 + 9 + 6 + 4 * 3 - 1, [0, 1, 3]),
        (7 + 7 + 6 + 3 * 3, [0, 1, 3]),
        (7 + 7 + 6 + 3 * 3 - 1, [0, 3]),
        (1, [0, 3]),
    ],
)
def test_columns_are_left_out_in_the_order_in_which_they_can_be_spared(width: int, kept: list[int]) -> None:
    assert places(width, "cosine", "max\nerror") == kept


def test_what_cannot_be_spared_stays() -> None:
    assert places(1) == [0, 1, 2, 3]
    assert places(1, "not there") == [0, 1, 2, 3]


def test_a_figure_is_whole_or_looks_cut_and_text_is_broken() -> None:
    table = columns("t", ("graph", "error"), right=("error",))
    add_row(table, "torchscript encoder", "1.234567e-07")

    def shown(width: int) -> str:
        console = Console(file=io.StringIO(), width=width)
        console.print(table)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert "torchscript encoder" in shown(60)
    lines = shown(30).splitlines()
    assert any("torchscript" in line and "1.234567e-07" in line for line in lines)
    assert any(line.strip() == "encoder" for line in lines)
    assert "…" in shown(14)
