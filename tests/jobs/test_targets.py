from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sink_rows import settings_of

from aedeploy.jobs.outputs import image_output
from aedeploy.jobs.sources import Group
from aedeploy.jobs.spec import Source
from aedeploy.jobs.targets import Targets

SETTINGS = settings_of("reconstruct")


def group(*paths: str, closed: bool, folders: frozenset[str] = frozenset()) -> Group:
    sources = tuple(Source(path=path, bytes=1, stamp=1, file=path) for path in paths)
    return Group(sources=sources, closed=closed, folders=folders)


def meet(targets: Targets, one: Group, done: tuple[str, ...] = ()) -> dict[str, str]:
    return targets.meet(one, np.array([source.path in done for source in one.sources], bool))


@given(st.lists(st.from_regex(r"[ab]{1,2}\.(png|jpg)", fullmatch=True), unique=True), st.integers(1, 4), st.booleans())
def test_what_is_left_has_as_many_outputs_as_inputs_and_nothing_is_left_out_for_nothing(
    paths: list[str], size: int, closed: bool
) -> None:
    targets = Targets(SETTINGS)
    groups = [paths] if closed else [paths[start : start + size] for start in range(0, len(paths), size)]
    clashes: dict[str, str] = {}
    for some in groups:
        clashes |= meet(targets, group(*some, closed=closed))
    written = [image_output(path, "short") for path in paths if path not in clashes]
    assert len(set(written)) == len(written)
    every = [image_output(path, "short") for path in paths]
    if closed:  # all that meet are known at once, and none of them is taken for the right one
        assert set(clashes) == {path for path in paths if every.count(image_output(path, "short")) > 1}
    else:  # what was listed first may be written already
        assert set(written) == set(every)


def test_the_sentence_names_both_and_the_remedy() -> None:
    clashes = meet(Targets(SETTINGS), group("d/a.jpg", "d/a.png", "d/b.png", closed=True))
    assert clashes == dict.fromkeys(
        ("d/a.jpg", "d/a.png"), "d/a.jpg and d/a.png would both be written to d/a.png: use --names full"
    )
    full = Targets(replace(SETTINGS, names="full"))
    assert meet(full, group("a.jpg", "a.png", closed=True)) == {}


def test_what_is_done_stays_done() -> None:
    clashes = meet(Targets(SETTINGS), group("a.jpg", "a.png", closed=True), done=("a.png",))
    assert set(clashes) == {"a.jpg"}


def test_an_output_that_a_folder_has_the_name_of() -> None:
    clashes = meet(Targets(SETTINGS), group("a.jpg", "b.jpg", closed=True, folders=frozenset({"a.png"})))
    assert clashes == {"a.jpg": "a.jpg would be written to a.png, which is a folder too: rename one"}


def test_of_very_many_none_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aedeploy.jobs.targets._FEW", 100)
    targets = Targets(SETTINGS)
    for start in range(0, 5000, 250):
        assert meet(targets, group(*(f"{number}.jpg" for number in range(start, start + 250)), closed=False)) == {}
    again = [f"{number}.png" for number in range(0, 5000, 7)]
    clashes = meet(targets, group(*again, f"{Path('new')}.png", closed=False))
    assert set(clashes) == set(again)
    assert "as another input is: use --names full" in clashes["7.png"]
