"""What a platform's own resize would do to latents: why every program carries out ours instead."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aedeploy
from aedeploy.bundle import Bundle
from aedeploy.images.read import read_image

ROOT = Path(__file__).resolve().parents[2]
SIZE = 28

Resized = Callable[[list[Path]], np.ndarray]


@pytest.fixture(scope="module")
def grey_photos(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photographs in grey, as PNG: nothing but the resize is left to differ."""
    folder = tmp_path_factory.mktemp("grey")
    photographs = sorted((shared_data / "photos").rglob("*.jpg"), key=lambda path: path.stat().st_size)
    for path in photographs[5:125:6]:
        read_image(path, "L").save(folder / f"{path.stem}.png", compress_level=1)
    return sorted(folder.iterdir())


def by_sharp(paths: list[Path]) -> np.ndarray:
    """libvips, as sharp(…).resize does by default (Lanczos) where nothing is said."""
    modules = ROOT / ".tools" / "node_modules"
    if shutil.which("node") is None or not (modules / "sharp").is_dir():
        pytest.skip("node and the npm package sharp are not here (make embed-tools)")
    program = (
        f"const sharp = require({json.dumps(str(modules / 'sharp'))});"
        "(async () => { for (const path of process.argv.slice(1)) process.stdout.write("
        f"await sharp(path).greyscale().resize({SIZE}, {SIZE}, {{fit: 'fill'}}).raw().toBuffer()); }})()"
    )
    ran = subprocess.run(["node", "-e", program, *map(str, paths)], capture_output=True, check=True)
    return np.frombuffer(ran.stdout, np.uint8).reshape(len(paths), SIZE, SIZE, 1)


def by_canvas(paths: list[Path]) -> np.ndarray:
    """drawImage of Chromium, at its best quality."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed (make embed-tools)")
    draw = f"""async (content) => {{
        const blob = await (await fetch("data:image/png;base64," + content)).blob();
        const bitmap = await createImageBitmap(blob);
        const context = new OffscreenCanvas({SIZE}, {SIZE}).getContext("2d");
        context.imageSmoothingQuality = "high";
        context.drawImage(bitmap, 0, 0, {SIZE}, {SIZE});
        return Array.from(context.getImageData(0, 0, {SIZE}, {SIZE}).data.filter((_, at) => at % 4 === 0));
    }}"""
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=sandbox)
        page = browser.new_page()
        rows = [page.evaluate(draw, base64.b64encode(path.read_bytes()).decode()) for path in paths]
        browser.close()
    return np.asarray(rows, np.uint8).reshape(len(paths), SIZE, SIZE, 1)


def without_antialias(paths: list[Path]) -> np.ndarray:
    """Two by two pixels around each point: torch.nn.functional.interpolate and OpenCV's INTER_LINEAR by default."""
    import torch

    rows = []
    for path in paths:
        pixels = torch.from_numpy(np.asarray(Image.open(path), np.float32).copy())[None, None]
        rows.append(torch.nn.functional.interpolate(pixels, (SIZE, SIZE), mode="bilinear")[0, 0].round().numpy())
    return np.stack(rows).astype(np.uint8)[..., None]


@pytest.mark.parametrize(
    ("name", "resize"),
    [
        ("sharp(…).resize, its default", by_sharp),
        ("drawImage on a canvas, quality high", by_canvas),
        ("bilinear without antialiasing", without_antialias),
    ],
)
def test_another_resize_gives_another_latent(
    name: str, resize: Resized, bundles: dict[str, Bundle], grey_photos: list[Path], record_figures: Callable[..., None]
) -> None:
    codec = aedeploy.load(bundles["conv"])
    wanted, found = codec.encode(grey_photos), codec.encode(resize(grey_photos))
    shares = np.abs(found - wanted).max(axis=1) / np.abs(wanted).max(axis=1)
    assert np.isfinite(shares).all()
    # A hundred times what golden vectors may be off: a program that resizes so has another encoder.
    assert np.median(shares) > 1e-3
    record_figures({"resize": name, "recipe": "ae", "shares": [float(share) for share in shares]})
