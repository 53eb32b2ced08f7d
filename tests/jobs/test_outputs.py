from __future__ import annotations

import pytest

from aedeploy.jobs.outputs import image_output, is_inside


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


def test_an_output_has_the_extension_of_its_format() -> None:
    assert image_output("d/a.png", "short", ".webp") == "d/a.webp"
    assert image_output("d/a.png", "full", ".webp") == "d/a.png.webp"


@pytest.mark.parametrize("path", ["a.png", "a/b.png", "a..b/c", "..."])
def test_paths_that_stay_inside(path: str) -> None:
    assert is_inside(path)


@pytest.mark.parametrize("path", ["", "/a", "..", "../a", "a/../../b", "a\0b"])
def test_paths_that_do_not(path: str) -> None:
    assert not is_inside(path)
