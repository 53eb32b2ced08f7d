"""Take the pictures of docs/explorer.md: ``python docs/explorer_pictures.py DEMO PLANE CODES``.

Three exported bundles: the one of ``aedeploy demo``; a ``mlp-2d`` trained on the digits; a ``vq-vae``. It needs what
the tests of the page need: Chromium, playwright, and onnxruntime-web in .tools (``make embed-tools``).
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

from embed.web_browser import RUNTIME, browsers, opened, serving  # noqa: E402

from aedeploy.bundle import open_bundle  # noqa: E402
from aedeploy.embed import write_program  # noqa: E402

_NOISE = "aedeploy.explorer.setNoise(0.4, 2)"
_WALK = "document.querySelector('.plane .tiles').width > 300 && aedeploy.explorer.settled()"
_CODES = "document.querySelectorAll('.codes canvas').length"

# The name of a picture: which bundle, the colours, the page's size, and what is done in it before.
_PICTURES: dict[str, tuple[int, str, tuple[int, int], str]] = {
    "explorer-light": (0, "light", (1200, 900), _NOISE),
    "explorer-dark": (0, "dark", (1200, 900), _NOISE),
    "explorer-map-light": (1, "light", (1200, 900), _WALK),
    "explorer-map-dark": (1, "dark", (1200, 900), _WALK),
    "explorer-codes": (2, "light", (1200, 1010), _CODES),
    "explorer-phone": (0, "light", (390, 760), _NOISE),
}


def main(bundles: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as scratch, browsers() as start, start() as chromium:
        for at, bundle in enumerate(bundles):
            options = {"runtime": RUNTIME}
            page = write_program("web", open_bundle(bundle), Path(scratch) / str(at), options=options).folder
            with serving(page) as address:
                for name, (which, colours, (width, height), script) in _PICTURES.items():
                    if which == at:
                        size = {"width": width, "height": height}
                        with opened(chromium, address, color_scheme=colours, viewport=size) as opening:
                            opening.evaluate(script)
                            opening.wait_for_timeout(500)
                            _save(opening.screenshot(), HERE / f"{name}.png")


def _save(content: Any, path: Path) -> None:
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    # 256 colours that are chosen well: a third of the size, and no colour is off by more than is seen.
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=8, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:4]])
