"""Programs around a denoiser that is told the noise: they ask for it, fill a map with it, and refuse what is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed import node_programs
from embed.cpp_programs import TARGETS, built, write_cpp_program
from embed.cpp_programs import run as run_cpp
from embed.web_browser import opened, serving
from embed.web_pages import chromium, needs_chromium, numbers, settle, start, write_page
from PIL import Image
from small_denoiser import SIZE, write_small_denoiser
from tiny_bundle import write_tiny_bundle

import aedeploy
from aedeploy.bundle import Bundle
from aedeploy.embed import write_program
from aedeploy.embed.contract import contract_of
from aedeploy.errors import ConfigError
from aedeploy.export import export_bundle
from aedeploy.parity.conform import conform

__all__ = ["chromium", "start"]  # fixtures

#: What every target says of a sigma that is missing, or beyond what the model knows; some say it as a sentence.
ASKED = "this model is told how much noise there is: give sigma, its standard deviation in levels of 255, from 0 to 55"
ASKED_AS_A_SENTENCE = f"{ASKED[0].upper()}{ASKED[1:]}."
OF_NO_USE = "this model is told nothing of the noise: leave sigma out"

#: By what is given as sigma: the exit code, and what is said.
Refusals = dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A grey denoiser of an encoder and a decoder, for either kind of program."""
    bundle = write_small_denoiser(tmp_path_factory.mktemp("told") / "cut", skips=False)
    return export_bundle(bundle, ["onnx", "torchscript"], parity=False).bundle


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A colour denoiser that cannot be cut."""
    bundle = write_small_denoiser(tmp_path_factory.mktemp("told") / "whole", channels=3)
    return export_bundle(bundle, ["onnx", "torchscript"], parity=False).bundle


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(4).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(path)
    return path


def assert_it_works(
    bundle: Bundle, folder: Path, image: Path, run: Any, command: list[str], refusals: Refusals
) -> None:
    """The self-test, the protocol, both commands that take sigma, and what they say of one that is none."""
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr
    report = conform(bundle, command)
    assert report, report.failures()
    assert {result.passed for result in report.results} == {True}
    codec, out = aedeploy.load(bundle), folder.parent / "out.png"
    made = {}
    for sigma in (0, 20.5, 55):
        done = run(folder, "reconstruct", image, out, "--sigma", str(sigma))
        assert done.returncode == 0, done.stderr
        made[sigma] = np.asarray(Image.open(out)).reshape(SIZE, SIZE, -1).astype(int)
        assert np.abs(made[sigma] - codec.reconstruct([image], sigma=sigma)[0]).max() <= 1
    assert np.abs(made[0] - made[55]).max() > 2
    if bundle.manifest.latent:
        encoded = run(folder, "encode", "--sigma", "20.5", image)
        assert encoded.returncode == 0, encoded.stderr
        latent = np.array(json.loads(encoded.stdout)["latent"], np.float32)
        np.testing.assert_allclose(latent, codec.encode([image], sigma=20.5)[0], atol=1e-5)
        (folder.parent / "latent.json").write_text(encoded.stdout)
        decoded = run(folder, "decode", folder.parent / "latent.json", out)
        assert decoded.returncode == 0, decoded.stderr
        np.testing.assert_array_equal(np.asarray(Image.open(out)).reshape(SIZE, SIZE, -1), made[20.5])
    answers = run(folder, "conform", input=f"conform 1\nimage {image}\n").stdout
    assert "\nskip " in answers
    for wrong, (code, said) in refusals.items():
        refused = run(folder, "reconstruct", image, out, "--sigma", wrong)
        assert refused.returncode == code
        assert said in refused.stderr
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "`sigma`, the noise's standard deviation in levels of 255, from 0 to 55" in text
    assert "photo.jpg --sigma 25 > latent.json" in text
    assert "| `sigma` float32" not in text
    assert "`image` float32" in text


@pytest.mark.parametrize("kind", ["cut", "whole"])
def test_python(kind: str, request: pytest.FixtureRequest, image: Path, tmp_path: Path) -> None:
    bundle = request.getfixturevalue(kind)
    folder = write_program("python", bundle, tmp_path / "program").folder

    def run(folder: Path, *arguments: Any, input: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, folder / "main.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True, input=input, timeout=120)

    command = [sys.executable, str(folder / "main.py"), "conform"]
    refusals = dict.fromkeys(("-1", "55.5", "nan"), (1, f"Error: {ASKED}\n"))
    assert_it_works(bundle, folder, image, run, command, refusals)
    missing = run(folder, "reconstruct", image, tmp_path / "out.png")
    assert missing.returncode == 2
    assert "--sigma" in missing.stderr
    checked = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    typed = subprocess.run([*checked, "--explicit-package-bases", "."], cwd=folder, capture_output=True, text=True)
    assert typed.returncode == 0, typed.stdout


def test_python_in_code(whole: Bundle, tmp_path: Path) -> None:
    folder = write_program("python", whole, tmp_path / "program").folder
    code = f"""
import numpy as np
from autoencoder import Autoencoder
model, images = Autoencoder(), np.zeros((2, 3, {SIZE}, {SIZE + 4}), np.float32)
print(model.reconstruct(images, 25).shape)
for sigma in (None, -1, 56, float("nan")):
    try:
        model.reconstruct(images, sigma)
    except ValueError as error:
        print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert found.stdout.splitlines() == [f"(2, 3, {SIZE}, {SIZE + 4})", *[ASKED] * 4], found.stderr


@pytest.mark.parametrize("kind", ["cut", "whole"])
def test_node(kind: str, request: pytest.FixtureRequest, image: Path, tmp_path: Path) -> None:
    bundle = request.getfixturevalue(kind)
    folder = node_programs.write_node_program(bundle, tmp_path / "program")

    def run(folder: Path, *arguments: Any, input: str | None = None) -> subprocess.CompletedProcess[str]:
        command = ["node", folder / "main.js", *arguments]
        return subprocess.run(command, capture_output=True, text=True, input=input, timeout=120)

    command = ["node", str(folder / "main.js"), "conform"]
    refusals = dict.fromkeys(("-1", "55.5", "nan"), (1, f"Error: {ASKED_AS_A_SENTENCE}\n"))
    assert_it_works(bundle, folder, image, run, command, refusals)
    for wrong in ([], ["--sigma"], ["--sigma", "1", "--sigma", "2"]):
        refused = run(folder, "reconstruct", image, tmp_path / "out.png", *wrong)
        assert refused.returncode == 2
        assert "--sigma N" in refused.stderr
    found = node_programs.evaluate(
        folder,
        f"""
        import {{ Autoencoder, contract }} from "./index.js";
        const model = await Autoencoder.open();
        const shape = [1, contract.image.channels, {SIZE}, {SIZE}];
        const image = {{ dtype: "float32", shape, data: new Float32Array(shape[1] * {SIZE * SIZE}) }};
        const said = [];
        for (const sigma of [25, undefined, -1, 56, NaN]) {{
          said.push(await model.reconstruct(image, sigma).then(({{ shape }}) => shape, ({{ message }}) => message));
        }}
        console.log(JSON.stringify(said));
        """,
    )
    assert found == [[1, bundle.manifest.image.channels, SIZE, SIZE], *[ASKED_AS_A_SENTENCE] * 4]


def test_the_types_of_the_node_program(cut: Bundle, tmp_path: Path) -> None:
    node_programs.require_node("typescript")
    folder = node_programs.write_node_program(cut, tmp_path / "program")
    compiler = node_programs.NODE_MODULES / ".bin" / "tsc"
    checked = subprocess.run([compiler], cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_cpp(target: str, cut: Bundle, image: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = write_cpp_program(target, cut, tmp_path / "program")
    built(folder, tmp_path_factory)
    refusal, usage = f"error: {ASKED_AS_A_SENTENCE}\n", "usage: autoencoder [--model FOLDER] COMMAND\n"
    refusals = {"-1": (1, refusal), "55.5": (1, refusal), "nan": (2, usage), "much": (2, usage)}
    assert_it_works(cut, folder, image, run_cpp, [str(folder / "build" / "autoencoder"), "conform"], refusals)
    missing = run_cpp(folder, "reconstruct", image, tmp_path / "out.png")
    assert missing.returncode == 1
    assert missing.stderr == refusal


@pytest.mark.parametrize("target", ["python", "node", "cpp-onnx"])
def test_a_model_that_is_told_nothing_refuses_it(
    target: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    if target == "python":
        folder = write_program("python", bundle, tmp_path / "program").folder
        code = "from autoencoder import *; Autoencoder().encode(np.zeros((1, 1, 8, 8), np.float32), 25)"
        ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
        assert OF_NO_USE in ran.stderr
    elif target == "node":
        folder = node_programs.write_node_program(bundle, tmp_path / "program")
        ran = node_programs.run(folder, "encode", "image.png", "--sigma", "25")
        assert ran.returncode == 2
        assert ran.stderr.startswith("Usage: node main.js COMMAND\n")
        assert "--sigma" not in ran.stderr
    else:
        folder = write_cpp_program(target, bundle, tmp_path / "program")
        built(folder, tmp_path_factory)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "image.png")
        ran = run_cpp(folder, "encode", tmp_path / "image.png", "--sigma", "25")
        assert OF_NO_USE[1:] in ran.stderr
    assert "sigma" not in (folder / "README.md").read_text(encoding="utf-8")


@needs_chromium
@pytest.mark.parametrize("kind", ["cut", "whole"])
def test_the_page_tells_the_noise_that_it_adds(
    kind: str, request: pytest.FixtureRequest, chromium: Any, tmp_path: Path
) -> None:
    bundle = request.getfixturevalue(kind)
    with serving(write_page(bundle, tmp_path / "page")) as address, opened(chromium, address) as page:
        assert page.evaluate("aedeploy.ready"), page.text_content("#messages")
        assert page.evaluate("aedeploy.selfTest")["passed"]
        page.locator("#gallery button").nth(1).click()
        settle(page, "sample 2")
        page.evaluate("aedeploy.explorer.setNoise(25 / 255, 7)")
        page.evaluate("aedeploy.explorer.settled()")
        noisy = numbers(page, "aedeploy.explorer.input")
        shape = (1, bundle.manifest.image.channels, SIZE, SIZE)
        want = aedeploy.load(bundle).run("autoencoder", noisy.reshape(shape), sigma=25.0)["reconstruction"]
        got = numbers(page, "aedeploy.explorer.output").reshape(shape)
        np.testing.assert_allclose(got, want, atol=2e-5)
        assert float(page.get_attribute("#noise", "max")) == pytest.approx(55 / 255, abs=1e-3)


def test_a_program_that_leaves_the_noise_out_does_not_conform(whole: Bundle, tmp_path: Path) -> None:
    folder = write_program("python", whole, tmp_path / "program").folder
    code, given = (folder / "conform.py").read_text(), "_answer(sink, model, role, inputs)"
    assert code.count(given) == 1
    forgetful = code.replace(given, "_answer(sink, model, role, {**inputs, 'sigma': inputs['sigma'] * 0})")
    (folder / "conform.py").write_text(forgetful)
    report = conform(whole, [sys.executable, str(folder / "main.py"), "conform"])
    assert not report
    assert all("reconstruction" in sentence for sentence in report.failures()), report.failures()


def test_image_files_are_no_part_of_the_proof(cut: Bundle, image: Path) -> None:
    with pytest.raises(ConfigError, match="is told how much noise an image has"):
        conform(cut, ["true"], images=[image])


def test_the_contract_says_how_far_it_goes(cut: Bundle, tmp_path: Path) -> None:
    contract = contract_of(cut, [graph for graph in cut.manifest.graphs if graph.format == "onnx"])
    assert contract["noise"] == {"maximum": 55.0}
    for graph in contract["graphs"]:
        names = [spec["name"] for spec in graph["inputs"]]
        assert names == (["latent"] if graph["role"] == "decoder" else ["image", "sigma"])
    tiny = write_tiny_bundle(tmp_path / "tiny")
    assert contract_of(tiny, tiny.manifest.graphs)["noise"] is None
