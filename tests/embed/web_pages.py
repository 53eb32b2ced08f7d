"""What the tests of the page share: pages around bundles, and what one does to them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed import web_browser
from embed.web_browser import RUNTIME, browsers, serving
from safetensors.numpy import load_file

from aedeploy.bundle import Bundle
from aedeploy.embed import write_program

#: Of a module whose tests need Chromium and the page's engine.
needs_chromium = pytest.mark.skipif(web_browser.missing() is not None, reason=web_browser.missing() or "")

Start = Callable[..., Any]
Pages = Callable[[str], Path]
Sites = Callable[[str], str]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with browsers() as launch:
        yield launch


@pytest.fixture(scope="module")
def chromium(start: Start) -> Iterator[Any]:
    with start() as running:
        yield running


@pytest.fixture(scope="module")
def pages(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """The folder of the page around a bundle, by its kind or recipe."""
    root = tmp_path_factory.mktemp("pages")

    def page(kind: str) -> Path:
        folder = root / kind
        return folder if folder.is_dir() else write_page(bundles[kind], folder)

    return page


@pytest.fixture(scope="module")
def sites(pages: Pages) -> Iterator[Sites]:
    """The address of that page."""
    found: dict[str, str] = {}
    with ExitStack() as stack:

        def site(kind: str) -> str:
            if kind not in found:
                found[kind] = stack.enter_context(serving(pages(kind)))
            return found[kind]

        yield site


def write_page(bundle: Bundle, folder: Path, *, format: str | None = None, samples: Path | None = None) -> Path:
    options = {"runtime": RUNTIME, "samples": samples}
    return write_program("web", bundle, folder, format=format, options=options).folder


def close(got: np.ndarray, want: np.ndarray) -> bool:
    return bool(np.abs(got - want).max() <= 1e-5 + 1e-5 * np.abs(want).max())


def numbers(page: Any, expression: str) -> np.ndarray:
    return np.array(page.evaluate(f"Array.from({expression})"), np.float32)


def transfer(page: Any, path: Path) -> Any:
    """What a file that is dragged or pasted carries."""
    content = base64.b64encode(path.read_bytes()).decode()
    return page.evaluate_handle(
        """([name, content]) => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          transfer.items.add(new File([bytes], name));
          return transfer;
        }""",
        [path.name, content],
    )


def drop(page: Any, path: Path, selector: str = "main") -> None:
    carried = transfer(page, path)
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event(selector, event, {"dataTransfer": carried})


def settle(page: Any, name: str) -> None:
    """Wait until an image of that name is encoded and its reconstruction is there."""
    page.locator("#image-name", has_text=name).wait_for()
    page.evaluate("aedeploy.explorer.settled()")


def bundle_samples(bundle: Bundle) -> np.ndarray:
    return load_file(bundle.file(bundle.manifest.golden))["samples"]
