"""The page in Chromium: its engine is right in every form, and files become the latents that they should."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed.web_browser import SOFTWARE_WEBGPU, opened, serving
from embed.web_pages import (
    Pages,
    Sites,
    Start,
    bundle_samples,
    chromium,
    close,
    drop,
    needs_chromium,
    numbers,
    pages,
    settle,
    sites,
    start,
    transfer,
    write_page,
)
from PIL import Image

import aedeploy
from aedeploy.bundle import Bundle, open_bundle

__all__ = ["chromium", "pages", "sites", "start"]  # fixtures

pytestmark = needs_chromium

BRIDGE = Path(__file__).with_name("web_conform.py")

Prove = Callable[..., object]


@pytest.mark.parametrize("kind", ["mlp", "conv", "gaussian", "vq"])
def test_it_conforms(kind: str, pages: Pages, prove: Prove) -> None:
    prove("web", kind, [sys.executable, str(BRIDGE), str(pages(kind))])


@pytest.mark.parametrize("kind", ["mlp", "conv", "gaussian", "vq", "k-sparse", "batch-topk", "fsq", "standardised-rgb"])
def test_its_golden_vectors_pass(kind: str, sites: Sites, chromium: Any) -> None:
    with opened(chromium, sites(kind)) as page:
        assert page.evaluate("aedeploy.ready"), page.text_content("#messages")
        found = page.evaluate("aedeploy.selfTest")
        assert found["passed"]
        assert len(found["checks"]) == page.locator("#checks tr").count() >= 6
        assert found["largestError"] < 1e-3
        assert "Golden vectors pass" in page.text_content("#badge")
        assert page.get_attribute("#badge", "data-state") == "passed"
        assert "SHA-256 was compared" in page.text_content("#files-about")
        assert page.text_content("#messages") == ""


@pytest.mark.parametrize("format", ["ort", "onnx-fp16", "onnx-int8"])
def test_other_formats(format: str, bundles: dict[str, Bundle], chromium: Any, tmp_path: Path) -> None:
    from aedeploy.export import export_bundle

    bundle = open_bundle(shutil.copytree(bundles["conv"].path, tmp_path / "bundle"))
    rough = {"psnr": 20.0, "norm": 0.5} if format == "onnx-int8" else None
    bundle = export_bundle(bundle, [format], tolerances=rough).bundle
    with serving(write_page(bundle, tmp_path / "page", format=format)) as address, opened(chromium, address) as page:
        assert page.evaluate("aedeploy.ready"), page.text_content("#messages")


def test_a_model_that_cannot_be_cut(bundles: dict[str, Bundle], chromium: Any, tmp_path: Path) -> None:
    copied = open_bundle(shutil.copytree(bundles["conv"].path, tmp_path / "bundle"))
    whole = tuple(graph for graph in copied.manifest.graphs if graph.role == "autoencoder")
    bundle = copied.save(copied.manifest.model_copy(update={"latent": None, "graphs": whole}))
    with serving(write_page(bundle, tmp_path / "page")) as address, opened(chromium, address) as page:
        assert page.evaluate("aedeploy.ready"), page.text_content("#messages")
        assert not page.is_visible("#latent")
        assert not page.is_visible("#save-latent")
        before = numbers(page, "aedeploy.explorer.output")
        page.locator("#gallery button").nth(1).click()
        settle(page, "sample 2")
        after = numbers(page, "aedeploy.explorer.output")
        assert not np.array_equal(before, after)
        pixels = aedeploy.load(bundle).reconstruct(bundle_samples(bundle)[1:2])
        assert np.abs(np.rint(after * 255) - pixels.reshape(-1)).max() <= 1


@pytest.mark.parametrize("way", ["drop", "paste", "choose"])
def test_a_file_gives_our_latent(
    way: str, sites: Sites, bundles: dict[str, Bundle], chromium: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"{way}.png"
    # Of another size, with transparency: decoding, its removal, grey and the resize all have to be right.
    pixels = np.random.default_rng(3).integers(0, 256, (61, 47, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    want = aedeploy.load(bundles["conv"]).encode([path])[0]
    # What a graphics driver says of pixels that are read back.
    with opened(chromium, sites("conv"), expected=("GPU stall due to ReadPixels",)) as page:
        if way == "drop":
            drop(page, path)
        elif way == "paste":
            page.evaluate(
                "carried => dispatchEvent(new ClipboardEvent('paste', { clipboardData: carried }))",
                transfer(page, path),
            )
        else:
            page.set_input_files("#file", path)
        settle(page, path.name)
        assert close(numbers(page, "aedeploy.explorer.encoded.latent"), want)
        assert not page.is_visible("#drop")
        assert page.text_content("#messages") == ""


def test_colours_behind_transparency_without_webgl(sites: Sites, chromium: Any, tmp_path: Path) -> None:
    pixels = np.full((28, 28, 4), 200, np.uint8)
    pixels[..., 3] = 3
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    script = """
      const get = HTMLCanvasElement.prototype.getContext;
      HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
        return kind === "webgl2" ? null : get.call(this, kind, ...rest);
      };
    """
    with opened(chromium, sites("conv"), script=script) as page:
        drop(page, tmp_path / "clear.png")
        settle(page, "clear.png")
        assert "could only be read roughly" in page.get_by_role("alert").text_content()


def loaded(page: Any, pattern: str) -> list[str]:
    """The addresses that a page has loaded."""
    addresses = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    assert addresses
    return [address for address in addresses if re.search(pattern, address)]


def test_webgpu_where_there_is_none(sites: Sites, chromium: Any) -> None:
    # The browser itself says that it has no adapter.
    with opened(chromium, f"{sites('conv')}?backend=webgpu", expected=("No available adapters",)) as page:
        assert page.evaluate("aedeploy.ready")
        assert page.evaluate("aedeploy.backend") == "wasm"
        assert "WebAssembly runs instead of WebGPU: there is no graphics card" in page.text_content("#backend-note")
        assert not loaded(page, "webgpu|asyncify")
        page.get_by_label("WebGPU").click()
        page.get_by_text("WebAssembly goes on instead of WebGPU").wait_for()
        assert page.get_by_label("WebAssembly").is_checked()


def test_webgpu(start: Start, sites: Sites, bundles: dict[str, Bundle]) -> None:
    with start(*SOFTWARE_WEBGPU) as chromium:
        probe = chromium.new_page()
        probe.goto(sites("mlp"))
        if probe.evaluate("navigator.gpu?.requestAdapter().then((adapter) => adapter === null) ?? true"):
            pytest.skip("this Chromium has no WebGPU in software (SwiftShader)")
        probe.close()
        with opened(chromium, f"{sites('mlp')}?backend=webgpu") as page:
            assert page.evaluate("aedeploy.ready"), page.text_content("#messages")
            assert page.evaluate("aedeploy.backend") == "webgpu", page.text_content("#backend-note")
            assert page.evaluate("aedeploy.selfTest.passed")
            assert not loaded(page, r"ort\.wasm|threaded\.wasm")
            want = aedeploy.load(bundles["mlp"]).encode(bundle_samples(bundles["mlp"])[:1])[0]
            assert close(numbers(page, "aedeploy.explorer.latent"), want)
            # There and back: what was changed by hand stays.
            page.evaluate("aedeploy.explorer.setNumber(0, 0.5)")
            page.get_by_label("WebAssembly").click()
            page.wait_for_url(re.compile(r"/$|/\?$"))
            assert page.evaluate("aedeploy.backend") == "wasm"
            assert page.evaluate("aedeploy.explorer.latent[0]") == 0.5


def test_threads_where_the_server_allows_them(pages: Pages, chromium: Any) -> None:
    with serving(pages("conv"), isolated=True) as address, opened(chromium, address) as page:
        assert page.evaluate("crossOriginIsolated")
        assert page.evaluate("aedeploy.ready"), page.text_content("#messages")
        threads = page.evaluate("aedeploy.explorer.model.engine.threads")
        assert threads == min(4, page.evaluate("navigator.hardwareConcurrency"))
        assert f"{threads} threads" in page.text_content("#figures")
