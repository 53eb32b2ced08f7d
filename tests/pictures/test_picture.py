"""A picture as a file: the same bytes for the same picture, of the size that was asked for, and readable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aedeploy.errors import ConfigError
from aedeploy.pictures import DARK, LIGHT, Picture, Subject, Theme, draw
from aedeploy.pictures.picture import format_of

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]


@pytest.fixture
def picture_in(subject_of: SubjectOf, images_of: ImagesOf) -> Callable[..., Picture]:
    def make(theme: Theme = LIGHT) -> Picture:
        return draw("latents", subject_of(images_of(12), list("aabbccddeeff")), theme=theme)

    return make


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_picture_is_the_same_bytes(picture_in: Callable[..., Picture], tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        picture_in().save(tmp_path / f"{name}{suffix}")
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert one.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    assert b"Matplotlib" not in one


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_a_png_has_160_dots_an_inch_and_the_page_behind_it(
    picture_in: Callable[..., Picture], tmp_path: Path, theme: Theme
) -> None:
    picture = picture_in(theme)
    picture.save(tmp_path / "a.PNG")
    with Image.open(tmp_path / "a.PNG") as image:
        assert image.format == "PNG"
        assert image.size == tuple(round(160 * inches) for inches in picture.figure.get_size_inches())
        corner = image.convert("RGBA").getpixel((0, 0))
    assert corner == (*bytes.fromhex(theme.page[1:]), 255)


def test_nothing_is_left_of_a_picture_that_could_not_be_written(
    picture_in: Callable[..., Picture], tmp_path: Path
) -> None:
    picture = picture_in()
    with pytest.raises(ConfigError, match=r"a\.gif: a picture is written as \.png, \.svg, \.pdf"):
        picture.save(tmp_path / "a.gif")
    assert not (tmp_path / "a.gif").exists()
    with pytest.raises(ConfigError):
        format_of(tmp_path / "a")


def test_the_place_of_a_point_is_where_it_is_in_the_file(subject_of: SubjectOf, tmp_path: Path) -> None:
    # Two numbers each: the mean of the image, and how far it falls from left to right.
    slope = np.linspace(-1, 1, 8)
    pixels = np.stack([np.full((8, 8, 1), 100) + (30 * at * slope)[None, :, None] for at in range(6)]).astype(np.uint8)
    pixels += (10 * np.arange(6) ** 2).astype(np.uint8)[:, None, None, None]
    picture = draw("latents", subject_of(pixels, list("abcdef"), patterns=2), method="pca")
    assert picture.hover is not None
    for text in picture.hover.axes.texts:
        text.set_visible(False)  # the names would hide the points
    picture.save(tmp_path / "points.png")
    with Image.open(tmp_path / "points.png") as image:
        drawn = np.asarray(image.convert("RGB"), np.float64)
    height, width = drawn.shape[:2]
    places = picture.hover.places()
    for at, (across, down) in enumerate(places):
        seen = np.array(list(bytes.fromhex(LIGHT.hues[at][1:])), np.float64)
        y, x = np.nonzero(np.abs(drawn - seen).max(axis=2) < 3)
        near = (np.abs(x - across * width) < 15) & (np.abs(y - down * height) < 15)
        assert near.sum() > 20
        assert abs((x[near] + 0.5).mean() - across * width) < 1.0
        assert abs((y[near] + 0.5).mean() - down * height) < 1.0
    assert picture.hover.names == list("abcdef")
    np.testing.assert_array_equal(picture.hover.images, pixels)
