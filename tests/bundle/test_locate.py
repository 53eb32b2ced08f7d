"""Which bundle a command means when it was not told, or told a name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aedeploy.bundle import Bundle
from aedeploy.bundle.locate import find_bundle, newest_bundle
from aedeploy.errors import BundleError

MakeBundle = Callable[..., Bundle]


@pytest.fixture
def artifacts(tmp_path: Path, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with an old and a new bundle in its artifacts/."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "artifacts"
    make_bundle("new", folder, "2026-02-02T00:00:00+00:00")
    make_bundle("old", folder, "2026-01-31T23:59:59+00:00")
    return folder


def test_the_newest_is_the_one_created_last_whatever_its_files_say(artifacts: Path) -> None:
    os.utime(artifacts / "old" / "bundle.json", (4_000_000_000, 4_000_000_000))
    assert newest_bundle(artifacts).name == "new"
    assert find_bundle(None).name == "new"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"provenance": {}}', '{"provenance": null}', "\xff"])
def test_a_broken_one_is_passed_over(artifacts: Path, text: str) -> None:
    (artifacts / "broken").mkdir()
    (artifacts / "broken" / "bundle.json").write_text(text, encoding="latin-1")
    assert newest_bundle(artifacts).name == "new"


def test_what_is_no_bundle_is_passed_over(artifacts: Path) -> None:
    (artifacts / "README.md").write_text("x")
    (artifacts / "folder" / "bundle.json").mkdir(parents=True)
    assert newest_bundle(artifacts).name == "new"


@pytest.mark.parametrize("made", [True, False])
def test_none_is_an_error_that_says_how_to_get_one(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "artifacts"
    if made:
        folder.mkdir()
    with pytest.raises(BundleError, match=r"There is no bundle in .*aedeploy train"):
        newest_bundle(folder)


def test_a_name_is_looked_up_in_artifacts(artifacts: Path) -> None:
    assert find_bundle("old").path == Path("artifacts/old")


def test_a_path_goes_before_a_name(artifacts: Path, make_bundle: MakeBundle) -> None:
    make_bundle("old", artifacts.parent, "2020-01-01T00:00:00+00:00")
    assert find_bundle("old").path == Path("old")
    assert find_bundle(artifacts / "old").path == artifacts / "old"


def test_what_is_neither_is_an_error_that_names_it(artifacts: Path) -> None:
    with pytest.raises(BundleError, match=r"^nonesuch is not a bundle: there is no such folder"):
        find_bundle("nonesuch")
