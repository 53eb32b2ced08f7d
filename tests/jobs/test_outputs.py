from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aedeploy.errors import ConfigError
from aedeploy.jobs.outputs import check_collisions, image_output, is_inside


@pytest.mark.parametrize(
    ("path", "short", "full"),
    [
        ("a.jpg", "a.png", "a.jpg.png"),
        ("x.y/a.b.tif", "x.y/a.b.png", "x.y/a.b.tif.png"),
        ("photo", "photo.png", "photo.png"),
        ("d.e/photo", "d.e/photo.png", "d.e/photo.png"),
        (".jpg", ".jpg.png", ".jpg.png"),
    ],
)
def test_an_output_has_its_inputs_place_and_name(path: str, short: str, full: str) -> None:
    assert image_output(path, "short") == short
    assert image_output(path, "full") == full


@given(st.lists(st.from_regex(r"[ab]{1,2}(/[ab]{1,2})?\.(png|jpg)", fullmatch=True), unique=True))
def test_what_passes_the_check_has_as_many_outputs_as_inputs(paths: list[str]) -> None:
    check_collisions(paths, "full")
    assert len({image_output(path, "full") for path in paths}) == len(paths)
    if len({image_output(path, "short") for path in paths}) == len(paths):
        check_collisions(paths, "short")
    else:
        with pytest.raises(ConfigError, match="use --names full"):
            check_collisions(paths, "short")


def test_an_output_that_another_needs_as_a_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a\.jpg would be written to a\.png, which is a folder too"):
        check_collisions(["a.jpg", "a.png/deep/b.jpg"], "short")


@pytest.mark.parametrize("path", ["a.png", "a/b.png", "a..b/c", "..."])
def test_paths_that_stay_inside(path: str) -> None:
    assert is_inside(path)


@pytest.mark.parametrize("path", ["", "/a", "..", "../a", "a/../../b", "a\0b"])
def test_paths_that_do_not(path: str) -> None:
    assert not is_inside(path)
