"""Take the picture of docs/pictures.md and the README: ``python docs/report_pictures.py BUNDLE``.

BUNDLE is an exported one with a latent of two numbers, such as ``artifacts/gallery/vae-2d`` of ``make gallery``. It
needs what the tests of the page need: Chromium and playwright.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from embed.web_browser import browsers  # noqa: E402

from aedeploy.bundle import open_bundle  # noqa: E402
from aedeploy.report import ReportOptions, write_report  # noqa: E402

_SIZE = {"width": 1100, "height": 900}
# Pixels of the page's head that are shown, and the latent that is pointed at, by its place among all.
_HEAD, _POINT = 246, 245


def main(bundle: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, browsers() as start, start() as chromium:
        path = write_report(open_bundle(bundle), ReportOptions(out=Path(scratch) / "report.html")).path
        for colours in ("light", "dark"):
            page = chromium.new_page(viewport=_SIZE, color_scheme=colours)
            page.goto(path.as_uri())
            head = _picture(page.screenshot(clip={"x": 0, "y": 0, "width": _SIZE["width"], "height": _HEAD}))
            plot = page.locator("#picture-latents .plot")
            plot.scroll_into_view_if_needed()
            box = plot.bounding_box()
            data = "JSON.parse(document.querySelector('#picture-latents script[data-points]').textContent)"
            across, down = page.evaluate(f"{data}.points[{_POINT}]")
            page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
            figure = _picture(page.locator("#picture-latents").screenshot())
            both = Image.new("RGB", (head.width, head.height + figure.height), head.getpixel((2, 2)))
            both.paste(head, (0, 0))
            both.paste(figure, (int(page.locator("#picture-latents").bounding_box()["x"]), head.height))
            # 256 colours that are chosen well: a third of the size, and no colour is off by more than is seen.
            small = both.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=8, dither=Image.Dither.NONE)
            small.save(HERE / f"report-{colours}.png", optimize=True)
            page.close()


def _picture(content: Any) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
