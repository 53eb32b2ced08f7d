from __future__ import annotations

import pytest

from aedeploy.errors import ConfigError
from aedeploy.jobs.sources._patterns import expanded, is_pattern, prefixes

SUFFIXES = (".tar", ".tar.gz")


def names_of(text: str) -> list[str]:
    return expanded(text, lambda _: [], lambda _: True)


def test_braces_are_numbers_or_words() -> None:
    assert names_of("s-{008..011}.tar") == ["s-008.tar", "s-009.tar", "s-010.tar", "s-011.tar"]
    assert names_of("{9..11}") == ["9", "10", "11"]
    assert names_of("{2..0}") == ["2", "1", "0"]
    assert names_of("{a,b}/{0..1}.tar") == ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]
    assert names_of("x{,y}.tar") == ["x.tar", "xy.tar"]
    assert names_of("{one}.tar") == ["{one}.tar"]
    assert names_of("{a,a}.tar") == ["a.tar"]


def test_stars_are_asked_for_and_sorted() -> None:
    asked = []

    def glob(name: str) -> list[str]:
        asked.append(name)
        return [name.replace("*", "2"), name.replace("*", "1")]

    assert expanded("{a,b}-*.tar", glob, lambda _: False) == ["a-1.tar", "a-2.tar", "b-1.tar", "b-2.tar"]
    assert asked == ["a-*.tar", "b-*.tar"]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no file s-2\.tar, which s-\{1\.\.3\}\.tar asks for"):
        expanded("s-{1..3}.tar", lambda _: [], lambda name: name != "s-2.tar")
    with pytest.raises(ConfigError, match="no file"):
        expanded("*.tar", lambda _: [], lambda _: True)


def test_a_pattern_of_far_too_many_is_refused_at_once() -> None:
    for text in ("{0..99999999999999999999}.tar", "{0..99999}{0..99999}.tar"):
        with pytest.raises(ConfigError, match="more than 1,000,000"):
            names_of(text)


def test_what_is_no_pattern() -> None:
    assert not is_pattern("photos {2024}.tar")
    assert not is_pattern("a.tar")
    assert all(map(is_pattern, ["*.tar", "a?.tar", "[ab].tar", "{1..2}.tar", "{a,b}.tar"]))


@pytest.mark.parametrize(
    ("text", "archives", "expected"),
    [
        ("/d/s-{0..1}.tar", ["/d/s-0.tar", "/d/s-1.tar"], ["s-0/", "s-1/"]),
        ("/d/{a,b}/s.tar", ["/d/a/s.tar", "/d/b/s.tar"], ["a/s/", "b/s/"]),
        ("/d/*/x/*.tar", ["/d/a/x/1.tar"], ["a/x/1/"]),
        ("/d/a.{tar,tar.gz}", ["/d/a.tar", "/d/a.tar.gz"], ["a.tar/", "a.tar.gz/"]),
        ("/d/{a,B}.tar", ["/d/a.tar", "/d/B.TAR"], ["a/", "B/"]),
    ],
)
def test_each_archive_has_a_folder_of_its_own(text: str, archives: list[str], expected: list[str]) -> None:
    assert prefixes(text, archives, SUFFIXES) == expected
