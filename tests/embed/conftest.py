"""What the tests of embedded programs share: bundles of four kinds, photographs, and figures for docs/embedding.md."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.files import locked
from aedeploy.images.read import read_image
from aedeploy.parity.conform import ConformReport, conform

#: What every target is run for, and the recipes of it.
KINDS = {"mlp": "mlp-32", "conv": "ae", "gaussian": "vae", "vq": "vq-vae"}

#: Where ``make embed-tools`` puts npm packages.
TOOLS = Path(__file__).resolve().parents[2] / ".tools"

_PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "photos"

# Set by ``make embed-test``: the file that rows for docs/embedding.md are added to. All photographs are run then.
_FIGURES = os.environ.get("AEDEPLOY_EMBED_FIGURES")


class EmbeddedBundles(dict[str, Bundle]):
    """By kind, or by the name of a recipe: trained for an epoch, exported as ONNX and TorchScript, once for all."""

    def __init__(self, folder: Path, exported: dict[str, Bundle]) -> None:
        super().__init__()
        self._folder, self._exported = folder, exported

    def __missing__(self, name: str) -> Bundle:
        recipe = KINDS.get(name, name)
        lock = self._folder / f"{recipe}.lock"
        path = self._folder / recipe
        with locked(lock):
            if not path.is_dir():
                partial = self._folder / f"{recipe}.partial"
                shutil.copytree(self._exported[recipe].path, partial)
                partial.rename(path)
        self[name] = open_bundle(path)
        return self[name]


@pytest.fixture(scope="session")
def bundles(exported_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Bundles by kind ("mlp", "conv", "gaussian", "vq") or recipe. Copy one before changing it."""
    base = tmp_path_factory.getbasetemp()
    # Processes that run tests side by side share them.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "embedded-bundles"
    folder.mkdir(exist_ok=True)
    return EmbeddedBundles(folder, exported_bundles)


@pytest.fixture(scope="session")
def photos(shared_data: Path) -> list[Path]:
    """JPEG photographs: a few of all sizes and orientations, or all of them where figures are wanted."""
    return _photos(shared_data / "photos")


def _photos(folder: Path) -> list[Path]:
    # One of them is cut short: what a decoder makes of that is its own business, and libvips refuses it.
    names = sorted(path for path in folder.rglob("*.jpg") if path.stem != "corrupted")
    return names if _FIGURES else sorted(names, key=lambda path: path.stat().st_size)[:60:6]


@pytest.fixture(scope="session")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """PNG files, of which every decoder makes the same pixels: photographs where there are any, and noise."""
    folder = tmp_path_factory.mktemp("lossless")
    photographs = sorted(_photos(_PHOTOS), key=lambda path: path.stat().st_size)[:6]
    for at, path in enumerate(photographs):
        image = read_image(path, "RGB")
        (image.convert("L") if at % 3 == 2 else image).save(folder / f"{path.stem}.png", compress_level=1)
    # Reduced, enlarged, and as large as the models' images.
    random = np.random.default_rng(0)
    for width, height in ((101, 64), (13, 40), (28, 28)):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"noise-{width}x{height}.png")
    return sorted(folder.iterdir())


Prove = Callable[[str, str, Sequence[str]], ConformReport]


@pytest.fixture(scope="session")
def prove(bundles: dict[str, Bundle], lossless: list[Path]) -> Prove:
    """Whether a program around a bundle of a kind conforms, and reads files as we do; the figures are recorded.

    Without the real images of ../shared/data, the files that it reads are noise.
    """

    def run(target: str, kind: str, command: Sequence[str], format: str | None = None) -> ConformReport:
        bundle = bundles[kind]
        report = conform(bundle, command, format=format, images=[*_photos(_PHOTOS), *lossless])
        assert report, report.failures()
        assert all(image.reason is None for image in report.images), [image.reason for image in report.images]
        exact = [image for image in report.images if image.path.endswith(".png")]
        for image in exact:
            # The same pixels, the same arithmetic: what is left is what the engine itself is off.
            assert image.otherwise or image.max_abs <= 1e-5 + 1e-5 * image.peak, image
        record(target, kind, report.as_dict())
        return report

    return run


def record(target: str, kind: str, report: dict[str, Any]) -> None:
    """Add a program's figures to those of this run, where they are wanted: a ConformReport as a dictionary."""
    _record({"target": target, "kind": kind, **report})


def _record(row: dict[str, Any]) -> None:
    if _FIGURES:
        with open(_FIGURES, "a", encoding="utf-8") as rows:
            rows.write(json.dumps(row) + "\n")


@pytest.fixture(scope="session")
def record_figures() -> Callable[[dict[str, Any]], None]:
    """Adds a row to the figures of this run, where they are wanted."""
    return _record


def as_rows(results: Sequence[Any]) -> list[dict[str, Any]]:
    """Dataclasses as dictionaries, for a report that did not come from ``conform``."""
    return [asdict(result) for result in results]
