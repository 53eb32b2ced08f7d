"""Colours: told apart by every eye, seen against the page, and nobody's settings but ours."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from aedeploy.errors import UnknownNameError
from aedeploy.pictures import DARK, LIGHT, PAGE, Picture, Theme
from aedeploy.pictures.theme import bars, css, drawing, new_figure, plain_ticks, short, theme_named, with_variables

# Machado, Oliveira & Fernandes 2009, severity 1.0, of linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
# sRGB to CIE XYZ, and its white, D65.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255.0
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    x, y, z = (XYZ @ rgb) / XYZ.sum(axis=1)
    f = [t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def luminance(colour: str) -> float:
    return float(XYZ[1] @ linear(colour))


def drawn(theme: Theme) -> Picture:
    """A picture with a line, points, a legend, a logarithmic axis, an image, and text that could be taken for math."""
    with drawing(theme):
        figure = new_figure(3.0, 2.0)
        axes = figure.add_subplot()
        axes.plot([1, 2, 3], [1, 10, 300], label="a $x_1$ b")
        axes.scatter([1, 2], [3, 4], color=theme.second)
        axes.imshow(np.zeros((2, 2, 4), np.uint8), extent=(1, 2, 1, 2), aspect="auto")
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)
        axes.set_xlabel("$\\alpha$ & <b>")
        axes.legend()
    return Picture(kind="test", title="Test", theme=theme, figure=figure, reading="Nothing.")


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_eye_tells_any_two_hues_apart(theme: Theme, vision: str) -> None:
    seen = [lab(np.clip(np.array(VISIONS[vision]) @ linear(hue), 0.0, 1.0)) for hue in theme.hues]
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2)) >= 25.0


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_what_is_drawn_stands_out_from_the_page(theme: Theme) -> None:
    def contrast(colour: str) -> float:
        low, high = sorted([luminance(colour), luminance(theme.page)])
        return (high + 0.05) / (low + 0.05)

    assert len(theme.hues) == 10
    assert min(contrast(hue) for hue in theme.hues) >= 3.0
    assert min(contrast(theme.ink), contrast(theme.faint)) >= 4.5  # text


def test_what_the_user_has_set_changes_no_picture_and_stays(tmp_path: Path) -> None:
    drawn(LIGHT).save(tmp_path / "plain.png")
    theirs = {"font.size": 30, "axes.grid": False, "savefig.bbox": "tight", "savefig.dpi": 20, "backend": "svg",
              "text.usetex": True, "axes.facecolor": "red", "figure.figsize": (1, 1)}  # fmt: skip
    before = mpl.rcParams["backend"]
    with mpl.rc_context(theirs):
        drawn(LIGHT).save(tmp_path / "theirs.png")
        assert {key: mpl.rcParams[key] for key in theirs} == {**theirs, "figure.figsize": [1.0, 1.0]}
    mpl.rcParams["backend"] = before
    assert (tmp_path / "theirs.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_a_page_gives_its_pictures_all_their_colours() -> None:
    svg = drawn(PAGE).svg("test-")
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", svg))
    assert {"--ink", "--faint", "--line", "--hue-0", "--hue-1"} <= used
    for theme in (LIGHT, DARK):
        assert used <= set(re.findall(r"(--[a-z0-9-]+): #[0-9a-f]{6};", css(theme)))
    assert not re.findall(r"#01f[de]|#f{3,6}\b|\bwhite\b|\bblack\b", svg, re.IGNORECASE)
    assert not re.findall(r"(?:fill|stroke): ?#", svg)
    assert css(DARK).startswith("--page: #0d1117; --ink: #e6edf3;")


def test_an_element_for_a_page_has_names_of_its_own_and_no_size() -> None:
    svg = drawn(PAGE).svg("kl-")
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert ids
    assert all(name.startswith("kl-") for name in ids)
    meant = re.findall(r'(?:href="#|url\(#)([^")]*)', svg)
    assert meant
    assert set(meant) <= set(ids)
    head = svg[: svg.index(">")]
    assert head.startswith("<svg ")
    assert "viewBox" in head
    assert "width" not in head
    assert "height" not in head
    assert "<metadata" not in svg


def test_only_what_was_drawn_for_a_page_has_the_colours_of_one() -> None:
    with pytest.raises(ValueError, match="a picture for dark pages has the colours of those"):
        drawn(DARK).svg("test-")


def test_a_variable_is_put_for_each_stand_in_and_for_no_other_colour() -> None:
    given = "fill: #01fe00; stroke: #01fd09; fill: #01fc00; fill: #01fe03"
    assert with_variables(given) == "fill: var(--page); stroke: var(--hue-9); fill: #01fc00; fill: var(--line)"


def test_text_that_looks_like_a_stand_in_is_text() -> None:
    svg = '<a style="fill: #01fe01"><!-- #01fdff fill: #01fe01\n --><text fill="#01fe00">fill: #01fe01</text></a>'
    wanted = '<a style="fill: var(--ink)"><text fill="var(--page)">fill: #01fe01</text></a>'
    assert with_variables(svg) == wanted
    assert with_variables("fill: #01fdff") == "fill: #01fdff"
    with drawing(PAGE):
        figure = new_figure(2.0, 1.0)
        figure.add_subplot().set_title("#01fdff --> fill: #01fe01")
    drawn_of_it = Picture(kind="test", title="Test", theme=PAGE, figure=figure, reading="").svg("test-")
    assert "<!--" not in drawn_of_it
    assert "var(--ink)" in drawn_of_it


def test_a_theme_has_a_name() -> None:
    assert theme_named("dark") is DARK
    with pytest.raises(UnknownNameError, match="There is no theme 'drak' \\(did you mean 'dark'"):
        theme_named("drak")


def test_a_long_name_is_cut_and_none_is_hidden() -> None:
    assert short("ship") == "ship"
    assert short("x" * 30) == "x" * 23 + "…"
    assert short("abcdef", 4) == "abc…"
    assert short("_nolegend_") == " _nolegend_"


def test_a_letter_that_the_font_has_not_is_no_warning(tmp_path: Path) -> None:
    with drawing(LIGHT):
        figure = new_figure(2.0, 1.0)
        figure.add_subplot().set_title("猫")
    Picture(kind="test", title="Test", theme=LIGHT, figure=figure, reading="").save(tmp_path / "cat.png")
    assert (tmp_path / "cat.png").stat().st_size > 0


@pytest.mark.parametrize("count", [1, 40, 41, 256, 257, 5000])
def test_bars_are_where_they_belong_and_many_are_one_path(count: int) -> None:
    heights = np.arange(count, 0.0, -1.0)
    with drawing(LIGHT):
        axes = new_figure(3, 2).add_subplot()
        bars(axes, heights, LIGHT.first, first=1)
    assert len(axes.patches) == (count if count <= 256 else 1)
    if count <= 256:
        found = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in axes.patches]
        np.testing.assert_allclose(found, list(zip(range(1, count + 1), heights, strict=True)))
    else:
        (step,) = axes.patches
        np.testing.assert_array_equal(step.get_data().values, heights)
        np.testing.assert_array_equal(step.get_data().edges, np.arange(count + 1) + 0.5)
