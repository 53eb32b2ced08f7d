from __future__ import annotations

import pytest

from aedeploy.jobs.sources import Selection
from aedeploy.jobs.sources._choice import Choice, shown


@pytest.mark.parametrize(
    ("pattern", "path", "is_so"),
    [
        ("*.png", "a.png", True),
        ("*.png", "deep/down/a.png", True),
        ("*.png", "a.PNG", False),
        ("a?.png", "ab.png", True),
        ("a?.png", "a/.png", False),
        ("cats/*", "cats/a.png", True),
        ("cats/*", "cats/young/a.png", False),
        ("cats/*", "dogs/cats/a.png", False),
        ("cats/", "cats/young/a.png", True),
        ("cats/**", "cats/young/a.png", True),
        ("cats/**", "cats.png", False),
        ("**/cats/*.png", "cats/a.png", True),
        ("**/cats/*.png", "my/own/cats/a.png", True),
        ("a/**/z.png", "a/z.png", True),
        ("a/**/z.png", "a/b/c/z.png", True),
        ("a/**/z.png", "az.png", False),
        ("[ab].png", "b.png", True),
        ("[!ab].png", "b.png", False),
        ("[!ab].png", "c.png", True),
        ("[0-9][0-9].png", "42.png", True),
        ("x[!a]y.png", "x/y.png", False),
        ("[.png", "[.png", True),
        ("[]].png", "].png", True),
        ("[\\d].png", "5.png", False),
        ("a+b(1).png", "a+b(1).png", True),
        ("a\nb.png", "a\nb.png", True),
        ("*.png", "a\nb.png", True),
        ("./a.png", "a.png", True),
    ],
)
def test_a_pattern_stays_within_one_name_unless_it_has_two_stars(pattern: str, path: str, is_so: bool) -> None:
    assert Choice(Selection(include=(pattern,))).takes(path) is is_so
    assert Choice(Selection(exclude=(pattern,))).takes(path) is not is_so


def test_exclude_wins_and_several_patterns_add_up() -> None:
    choice = Choice(Selection(include=("*.png", "*.jpg"), exclude=("thumb*",)))
    assert [name for name in ("a.png", "a.jpg", "a.gif", "thumb.png", "x/thumb.jpg") if choice.takes(name)] == [
        "a.png",
        "a.jpg",
    ]


def test_what_is_no_image_by_its_name_is_none_by_any_pattern() -> None:
    assert not Choice(Selection(include=("*.txt",))).takes("a.txt")


def test_every_name_can_be_shown() -> None:
    assert shown("ä\n.png") == "ä\n.png"
    assert shown("x\udcff.png") == "x\\xff.png"
    assert shown("x\ud800.png").encode()
