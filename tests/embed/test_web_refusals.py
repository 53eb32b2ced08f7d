"""What the page refuses, and says so: broken files, altered models, and itself where it was copied in part."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed.web_browser import opened, serving
from embed.web_pages import Pages, Sites, chromium, drop, needs_chromium, numbers, pages, settle, sites, start
from PIL import Image
from safetensors.numpy import load_file, save_file

__all__ = ["chromium", "pages", "sites", "start"]  # fixtures

pytestmark = needs_chromium


def test_a_broken_file_gives_a_message(sites: Sites, chromium: Any, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "whole.png").read_bytes()[:40])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "notes.json").write_text('{"latent": [1, 2]}')
    (tmp_path / "text.json").write_text("no JSON")
    said = {
        "broken.png": "broken.png: This browser cannot read the file as an image",
        "empty.jpg": "empty.jpg: The file is empty.",
        "notes.json": "notes.json: It is not a latent of this model",
        "text.json": "text.json: It is not a latent: JSON with an entry “latent” is expected.",
    }
    with opened(chromium, sites("conv")) as page:
        alert = page.get_by_role("alert")
        before = numbers(page, "aedeploy.explorer.latent")
        for name, sentence in said.items():
            drop(page, tmp_path / name)
            alert.get_by_text(sentence).wait_for()
            assert alert.locator("p").count() == 1
        # What was there stays, and what comes next works.
        assert np.array_equal(numbers(page, "aedeploy.explorer.latent"), before)
        drop(page, tmp_path / "whole.png")
        settle(page, "whole.png")
        assert alert.text_content() == ""


SABOTAGES: dict[str, Callable[[Path, Path], None]] = {}


def sabotage(function: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    SABOTAGES[function.__name__.replace("_", " ")] = function
    return function


@sabotage
def a_golden_value_changed(model: Path, other: Path) -> None:
    golden = load_file(model / "golden.safetensors")
    golden["decoder/3/image"][1, 0, 5, 5] += 0.01
    save_file(golden, model / "golden.safetensors")


@sabotage
def a_golden_tensor_missing(model: Path, other: Path) -> None:
    golden = load_file(model / "golden.safetensors")
    del golden["encoder/1/latent"]
    save_file(golden, model / "golden.safetensors")


@sabotage
def the_golden_file_cut_off(model: Path, other: Path) -> None:
    content = (model / "golden.safetensors").read_bytes()
    (model / "golden.safetensors").write_bytes(content[: len(content) // 2])


@sabotage
def a_byte_of_a_weight_flipped(model: Path, other: Path) -> None:
    import onnx

    graph = onnx.load(model / "decoder.onnx")
    weight = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    raw = bytearray(weight.raw_data)
    raw[len(raw) // 2 // 4 * 4 + 3] ^= 0x40  # of its exponent
    weight.raw_data = bytes(raw)
    onnx.save(graph, model / "decoder.onnx")


@sabotage
def a_graph_cut_off(model: Path, other: Path) -> None:
    content = (model / "encoder.onnx").read_bytes()
    (model / "encoder.onnx").write_bytes(content[: len(content) // 2])


@sabotage
def the_graph_of_another_model(model: Path, other: Path) -> None:
    shutil.copyfile(other / "encoder.onnx", model / "encoder.onnx")


@sabotage
def a_graph_that_is_not_there(model: Path, other: Path) -> None:
    (model / "autoencoder.onnx").unlink()


@pytest.mark.parametrize("checksums", ["compared", "made to fit"])
@pytest.mark.parametrize("name", SABOTAGES)
def test_what_was_altered_is_refused(name: str, checksums: str, pages: Pages, chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    shutil.copytree(pages("mlp"), folder)
    SABOTAGES[name](folder / "model", pages("conv") / "model")
    if checksums == "made to fit":
        refit(folder)
    # A server that has a file no more says so on the console, whatever the page does.
    expected = ("404",) if "not there" in name else ()
    with serving(folder) as address, opened(chromium, address, expected=expected) as page:
        assert page.evaluate("aedeploy.ready") is False
        message = page.get_by_role("alert").text_content()
        assert message.endswith("Nothing is shown, since it could be wrong.")
        if checksums == "compared":
            assert re.search("could not be fetched" if "not there" in name else "altered", message)
        assert not page.is_visible("main")
        assert page.get_attribute("#badge", "data-state") == "failed"
        if "Golden vectors fail" in page.text_content("#badge"):
            assert page.locator('#checks tr[data-passed="false"]').first.is_visible()


def refit(folder: Path) -> None:
    """Make the contract's checksums those of the files as they are now."""
    path = folder / "js" / "contract.js"
    head, _, text = path.read_text().partition("export const contract = ")
    contract = json.loads(text.rstrip().rstrip(";"))
    for record in (contract["golden"], *contract["graphs"]):
        file = folder / record["file"]
        if file.is_file():
            record |= {"sha256": sha256(file.read_bytes()).hexdigest(), "bytes": file.stat().st_size}
    path.write_text(f"{head}export const contract = {json.dumps(contract)};\n")


def test_a_script_that_is_not_there(pages: Pages, chromium: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(pages("mlp"), tmp_path / "page")
    (folder / "js" / "spread.js").unlink()
    with serving(folder) as address, opened(chromium, address, expected=("404", "/js/spread.js")) as page:
        page.get_by_role("alert").get_by_text("A file of this page could not be loaded").wait_for()
    (folder / "vendor" / "onnxruntime-web" / "ort.wasm.bundle.min.js").unlink()
    shutil.copyfile(pages("mlp") / "js" / "spread.js", folder / "js" / "spread.js")
    with serving(folder) as address, opened(chromium, address, expected=("404", "ort.wasm.bundle")) as page:
        assert "ONNX Runtime Web could not be loaded" in page.get_by_role("alert").text_content()


def test_a_page_that_is_opened_as_a_file(pages: Pages, chromium: Any) -> None:
    page = chromium.new_page()
    page.goto((pages("mlp") / "index.html").as_uri())
    page.get_by_role("alert").get_by_text("python -m http.server").wait_for()
    assert not page.is_visible("main")
    page.close()
