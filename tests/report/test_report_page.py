"""The page in Chromium: it says nothing on the console, fits a phone, and answers to pointer, touch and keys."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.report import ReportOptions, write_report

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None,
        reason="the package playwright is not installed (pip install playwright)",
    ),
]
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

# Of the page and of its text.
COLOURS = {
    "light": ["rgb(255, 255, 255)", "rgb(31, 35, 40)"],
    "dark": ["rgb(13, 17, 23)", "rgb(230, 237, 243)"],
}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    flags = ["--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # as root it has none to run in
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=flags) as running:
        yield running


@pytest.fixture(scope="module")
def reports(exported_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by what they are of."""
    folder = tmp_path_factory.mktemp("pages")
    tiny = write_tiny_bundle(folder / "a tiny bundle", gaussian=True)
    graphs = tuple(graph.model_copy(update={"parity": "failed"}) for graph in tiny.manifest.graphs)
    failed = tiny.save(tiny.manifest.model_copy(update={"name": "<b>f&amp;iled</b>" + "x" * 80, "graphs": graphs}))
    random = np.random.default_rng(0)
    for number in range(40):
        path = folder / "images" / f"<i>{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    digits = ("curves", "reconstructions", "latents", "interpolation", "traversals", "manifold")
    wanted = {
        "digits": (exported_bundles["mlp-2d"], ReportOptions(limit=80, pictures=digits)),
        "failed": (
            failed,
            ReportOptions(data=str(folder / "images"), allow_failed=True, pictures=("latents", "kl", "traversals")),
        ),
    }
    return {
        name: write_report(bundle, ReportOptions(**{**vars(options), "out": folder / f"{name}.html"})).path
        for name, (bundle, options) in wanted.items()
    }


@contextmanager
def opened(chromium: Any, path: Path, **options: Any) -> Iterator[Any]:
    """A page from the disk, which must load nothing else and say nothing on the console."""
    context = chromium.new_context(**options)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: request.url.startswith("data:") or problems.append(request.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert problems == [path.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["digits", "failed"])
def test_it_fits_a_phone(name: str, scheme: str, reports: dict[str, Path], chromium: Any) -> None:
    with opened(chromium, reports[name], viewport=PHONE, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        style = "getComputedStyle(document.body)"
        assert page.evaluate(f"[{style}.backgroundColor, {style}.color]") == COLOURS[scheme]
        narrow = page.evaluate("[...document.querySelectorAll('main svg')].map(e => e.getBoundingClientRect().width)")
        assert min(narrow) > 200
        assert page.locator(".verdict").is_visible()


def test_without_scripts_nothing_is_missing(reports: dict[str, Path], chromium: Any) -> None:
    def content(page: Any) -> tuple[list[str], int]:
        return page.locator("h1, h2, h3").all_text_contents(), page.locator("main svg").count()

    with opened(chromium, reports["digits"]) as page:
        with_scripts = content(page)
        assert page.locator(".player").count() == 2
    with opened(chromium, reports["digits"], java_script_enabled=False) as page:
        assert content(page) == with_scripts
        assert page.locator(".player, .tip, .hint, input, button").count() == 0
        assert all(svg.is_visible() for svg in page.locator("main svg").all())
        page.locator("summary").first.click()
        assert page.locator("details pre").first.is_visible()


@pytest.mark.parametrize("name", ["digits", "failed"])
def test_a_point_shows_its_image_and_label(name: str, reports: dict[str, Path], chromium: Any) -> None:
    data = data_of(reports[name], "points")
    with opened(chromium, reports[name], viewport={"width": 1100, "height": 900}) as page:
        plot = page.locator("#picture-latents .plot")
        tip = plot.locator(".tip")
        assert tip.is_hidden()
        for wanted in (0, 7, 33):
            x, y = place(plot, data["points"][wanted])
            page.mouse.move(x, y)
            assert tip.is_visible()
            found = int(tip.get_attribute("data-point"))
            # Another one may lie in the same place.
            assert np.abs(np.subtract(data["points"][found], data["points"][wanted])).max() < 2e-3
            assert tip.inner_text().strip() == data["names"][found]
            shows(tip.locator(".cell"), data["sheet"], *divmod(found, data["sheet"]["columns"]))
            mark, dots = page.evaluate(MARKS)
            assert min(np.hypot(*(np.array(dots) - mark).T)) < 1.0
        box = plot.bounding_box()
        page.mouse.move(box["x"] + box["width"] + 40, box["y"])
        assert tip.is_hidden()


# The middle of the ring, and of every dot.
MARKS = """() => {
  const middle = (element) => {
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const plot = document.querySelector("#picture-latents .plot");
  return [middle(plot.querySelector(".ring")), [...plot.querySelectorAll("g[id*=PathCollection] use")].map(middle)];
}"""


def test_arrow_keys_go_from_point_to_point(reports: dict[str, Path], chromium: Any) -> None:
    points = data_of(reports["digits"], "points")["points"]
    with opened(chromium, reports["digits"], viewport={"width": 1100, "height": 900}) as page:
        plot = page.locator("#picture-latents .plot")
        tip = plot.locator(".tip")
        plot.focus()
        page.keyboard.press("ArrowRight")
        before = int(tip.get_attribute("data-point"))
        moved = 0
        for key, axis, sign in (("ArrowRight", 0, 1), ("ArrowUp", 1, -1), ("ArrowLeft", 0, -1), ("ArrowDown", 1, 1)):
            page.keyboard.press(key)
            after = int(tip.get_attribute("data-point"))
            if after != before:
                assert sign * (points[after][axis] - points[before][axis]) > 0
                moved += 1
            before = after
        assert moved >= 3
        page.keyboard.press("Escape")
        assert tip.is_hidden()
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement.closest('.plot')")


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_keys_bring_a_point_into_sight(motion: str, reports: dict[str, Path], chromium: Any) -> None:
    seen = """() => {
      const ring = document.querySelector("#picture-latents .ring").getBoundingClientRect();
      const box = document.querySelector("#picture-latents .slide").getBoundingClientRect();
      const [right, bottom] = [Math.min(box.right, innerWidth), Math.min(box.bottom, innerHeight)];
      const across = ring.left >= Math.max(box.left, 0) && ring.right <= right;
      return across && ring.top >= Math.max(box.top, 0) && ring.bottom <= bottom;
    }"""
    with opened(chromium, reports["digits"], viewport={"width": 200, "height": 200}, reduced_motion=motion) as page:
        page.locator("#picture-latents .plot").focus()
        tip = page.locator("#picture-latents .tip")
        for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
            before = None
            while (found := tip.get_attribute("data-point")) != before or before is None:
                before = found
                page.keyboard.press(key)
                if motion == "reduce":
                    assert page.evaluate(seen)
            page.wait_for_function(seen, timeout=5000)


def test_a_point_is_read_out(reports: dict[str, Path], chromium: Any) -> None:
    data = data_of(reports["digits"], "points")
    with opened(chromium, reports["digits"]) as page:
        plot = page.locator("#picture-latents .plot")
        spoken = page.locator("#picture-latents [role=status]")
        assert spoken.count() == 1
        assert spoken.is_visible()  # of a pixel, but there before anything is said
        assert plot.locator("[role=status]").count() == 0
        assert plot.locator(".tip").get_attribute("aria-hidden") == "true"
        assert spoken.text_content() == ""
        plot.focus()
        page.keyboard.press("ArrowRight")
        at = int(plot.locator(".tip").get_attribute("data-point"))
        assert spoken.text_content() == f"image {at}: {data['names'][at]}"
        page.keyboard.press("Escape")
        assert spoken.text_content() == ""


def test_where_not_every_point_answers_the_page_says_so(
    reports: dict[str, Path], chromium: Any, tmp_path: Path
) -> None:
    whole = reports["digits"].read_text(encoding="utf-8")
    assert whole.count('"of": 80') == 1
    some = tmp_path / "some.html"
    some.write_text(whole.replace('"of": 80', '"of": 12000'), encoding="utf-8")
    for path, said in ((reports["digits"], False), (some, True)):
        with opened(chromium, path) as page:
            hint = page.locator("#picture-latents .hint").inner_text()
            assert ("Not every point answers: 80 of 12,000 do." in hint) is said
            assert ("Not every point" in hint) is said


def test_a_touch_shows_a_point(reports: dict[str, Path], chromium: Any) -> None:
    points = data_of(reports["digits"], "points")["points"]
    with opened(chromium, reports["digits"], viewport=PHONE, has_touch=True, is_mobile=True) as page:
        plot = page.locator("#picture-latents .plot")
        plot.scroll_into_view_if_needed()
        left = min(range(len(points)), key=lambda at: points[at][0])
        page.touchscreen.tap(*place(plot, points[left]))
        tip = plot.locator(".tip")
        assert tip.is_visible()
        box, around = tip.bounding_box(), plot.bounding_box()
        assert around["x"] <= box["x"]
        assert box["y"] >= around["y"]
        assert box["y"] + box["height"] <= around["y"] + around["height"] + 1


@pytest.mark.parametrize("kind", ["interpolation", "traversals"])
def test_a_slider_goes_through_the_frames(kind: str, reports: dict[str, Path], chromium: Any) -> None:
    from playwright.sync_api import expect

    frames = data_of(reports["digits"], "frames", kind)
    rows, steps = len(frames["names"]), len(frames["steps"])
    with opened(chromium, reports["digits"]) as page:
        player = page.locator(f"#picture-{kind} .player")
        cells = player.locator(".cell")
        slider, output = player.locator("input"), player.locator("output")
        assert cells.count() == rows
        for row in range(rows):
            shows(cells.nth(row), frames["sheet"], row, 0)
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert output.inner_text() == frames["steps"][1]
        assert slider.get_attribute("aria-valuetext") == frames["steps"][1]
        shows(cells.nth(rows - 1), frames["sheet"], rows - 1, 1)
        page.keyboard.press("End")
        shows(cells.first, frames["sheet"], 0, steps - 1)
        player.locator("button").click()
        expect(output).not_to_have_text(frames["steps"][-1])  # it turns round at the end
        player.locator("button").click()
        stopped = slider.input_value()
        page.wait_for_timeout(500)
        assert slider.input_value() == stopped


def test_nothing_moves_for_who_wants_no_motion(reports: dict[str, Path], chromium: Any) -> None:
    with opened(chromium, reports["digits"], reduced_motion="reduce") as page:
        assert page.locator(".player input").count() == 2
        assert page.locator(".player button").count() == 0


def test_on_paper_it_is_light_and_whole(reports: dict[str, Path], chromium: Any) -> None:
    with opened(chromium, reports["digits"], color_scheme="dark") as page:
        page.locator("summary").first.click()
        before = page.locator("details[open]").count()
        assert 0 < before < page.locator("details").count()
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator(".player").first.is_hidden()
        assert page.locator("nav").is_hidden()
        assert all(details.get_attribute("open") is not None for details in page.locator("details").all())
        assert page.evaluate("getComputedStyle(document.querySelector('main figure')).breakInside") == "avoid"
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == before


def data_of(path: Path, kind: str, picture: str = "") -> Any:
    """What the page gives its script for a picture."""
    page = path.read_text(encoding="utf-8").partition(f'id="picture-{picture}')[2]
    match = re.search(rf'<script type="application/json" data-{kind}>(.*?)</script>', page)
    assert match is not None
    return json.loads(match[1])


def place(plot: Any, point: list[float]) -> tuple[float, float]:
    """Where a point is in the window."""
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]


def shows(cell: Any, sheet: dict[str, Any], row: int, column: int) -> None:
    """The cell must show one image of its sheet, exactly."""
    found = cell.evaluate(
        """(cell) => {
          const { width, height, backgroundPosition, backgroundSize, backgroundImage } = getComputedStyle(cell);
          return [width, height, backgroundPosition, backgroundSize, backgroundImage];
        }"""
    )
    width, height = (float(side.removesuffix("px")) for side in found[:2])
    assert width / height == pytest.approx(sheet["width"] / sheet["height"], rel=0.05)
    shares = [float(share.removesuffix("%")) / 100 for share in found[2].split()]
    # A position of p % puts the place at p % of the sheet onto that of the cell.
    offset = [share * (count - 1) for share, count in zip(shares, (sheet["columns"], sheet["rows"]), strict=True)]
    assert offset == pytest.approx([column, row], abs=1e-3)
    assert found[3] == f"{100 * sheet['columns']}% {100 * sheet['rows']}%"
    assert found[4] == f'url("{sheet["uri"]}")'
