"""The programs in C++: they build without a warning, prove themselves, read files as we do, and say what is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from embed.cpp_programs import built, require_cpp, run, write_cpp_program
from PIL import Image
from tiny_bundle import write_tiny_bundle

import aedeploy
from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_golden
from aedeploy.embed.contract import contract_of
from aedeploy.embed.targets._cpp import contract_header
from aedeploy.parity.conform import conform

TARGETS = ("cpp-onnx", "cpp-libtorch")
SUFFIXES = {"cpp-onnx": "onnx", "cpp-libtorch": "pt"}

Build = Callable[..., Path]
Prove = Callable[..., object]


@pytest.fixture(scope="module")
def build(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Programs by target and bundle, each built when it is first asked for. Copy a folder before changing it."""
    folders: dict[tuple[str, str], Path] = {}

    def program(target: str, name: str) -> Path:
        if (target, name) not in folders:
            folder = write_cpp_program(target, bundles[name], tmp_path_factory.mktemp(target) / name)
            built(folder, tmp_path_factory)
            folders[target, name] = folder
        return folders[target, name]

    return program


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("kind", ["conv", "mlp", "gaussian", "vq"])
def test_it_conforms_and_proves_itself(target: str, kind: str, build: Build, prove: Prove) -> None:
    folder = build(target, kind)
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr
    # Four files, three graphs at two batch sizes, and the verdict.
    assert found.stdout.count("ok  ") >= 4 + 3 * 2
    assert found.stdout.splitlines()[-1].startswith("passed: ")
    prove(target, kind, [str(folder / "build" / "autoencoder"), "conform"])


@pytest.mark.parametrize("recipe", ["k-sparse", "conv"])
def test_models_that_choose_and_models_of_any_size(target: str, recipe: str, build: Build) -> None:
    found = run(build(target, recipe), "self-test")
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_model_of_any_size_takes_any_and_refuses_what_its_rule_excludes(
    target: str, build: Build, bundles: dict[str, Bundle]
) -> None:
    from aedeploy.errors import BackendError
    from aedeploy.runtime.open import open_graph
    from aedeploy.runtime.program import ProgramProcess

    process = ProgramProcess([str(build(target, "vq") / "build" / "autoencoder"), "conform"], timeout=60.0)
    try:
        image = np.random.default_rng(0).random((2, 1, 12, 20), np.float32)
        whole = process.run("autoencoder", {"image": image})["reconstruction"]
        with open_graph(bundles["vq"], "autoencoder", format="onnx") as runner:
            np.testing.assert_allclose(whole, runner.run({"image": image})["reconstruction"], atol=1e-5)
        with pytest.raises(BackendError, match="multiples of 4"):
            process.run("encoder", {"image": image[:, :, :10]})
        with pytest.raises(BackendError, match=r"any, 1, any, any.* and was given float32 \[2, 3, 12, 20\]"):
            process.run("encoder", {"image": np.repeat(image, 3, axis=1)})
        assert process.run("encoder", {"image": image})["latent"].shape == (2, 16, 3, 5)
    finally:
        process.close()


def test_colour(target: str, build: Build, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    """A model of RGB images: nothing is swapped, on the way in or out."""
    folder = build(target, "standardised-rgb")
    assert run(folder, "self-test").returncode == 0
    image = tmp_path / "red.png"
    Image.new("RGB", (20, 30), (250, 90, 10)).save(image)
    codec = aedeploy.load(bundles["standardised-rgb"])
    encoded = run(folder, "encode", image)
    np.testing.assert_allclose(json.loads(encoded.stdout)["latent"], codec.encode([image])[0], rtol=1e-5, atol=1e-5)
    assert run(folder, "reconstruct", image, tmp_path / "out.png").returncode == 0
    written = Image.open(tmp_path / "out.png")
    assert written.mode == "RGB"
    assert np.abs(np.asarray(written).astype(int) - codec.reconstruct([image])[0]).max() <= 1


@pytest.mark.parametrize("kind", ["conv", "gaussian", "vq"])
def test_encode_decode_and_reconstruct(
    target: str, kind: str, build: Build, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    folder, codec = build(target, kind), aedeploy.load(bundles[kind])
    image = tmp_path / "a picture.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 61), dtype=np.uint8)).save(image)
    encoded = run(folder, "encode", image)
    wanted = codec.encode_all([image])
    found = json.loads(encoded.stdout)
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_allclose(np.asarray(found[name]), array[0], rtol=1e-5, atol=1e-5)
    (tmp_path / "latent.json").write_text(encoded.stdout)
    (tmp_path / "bare.json").write_text(json.dumps(found["latent"]))
    assert run(folder, "decode", tmp_path / "latent.json", tmp_path / "decoded.png").returncode == 0
    assert run(folder, "decode", tmp_path / "bare.json", tmp_path / "bare.png").returncode == 0
    assert run(folder, "reconstruct", image, tmp_path / "whole.png").returncode == 0
    pixels = codec.reconstruct([image])[0, :, :, 0].astype(int)
    for name in ("decoded.png", "bare.png", "whole.png"):
        assert np.abs(np.asarray(Image.open(tmp_path / name)).astype(int) - pixels).max() <= 1


def altered(golden: Path, name: str, value: float) -> None:
    content = bytearray(golden.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    begin = start + json.loads(content[8:start])[name]["data_offsets"][0]
    content[begin : begin + 4] = np.float32(np.frombuffer(content[begin : begin + 4], "<f4")[0] + value).tobytes()
    golden.write_bytes(content)


def without(golden: Path, prefix: str) -> None:
    from safetensors.numpy import load_file, save_file

    save_file({name: array for name, array in load_file(golden).items() if not name.startswith(prefix)}, golden)


GOLDEN_SABOTAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a value": (
        lambda golden: altered(golden, "encoder/3/latent", 1e-3),
        "encoder, batch 3, latent: its error 1.00e-03 is above the tolerance",
    ),
    "no number": (
        lambda golden: altered(golden, "decoder/1/image", np.nan),
        "decoder, batch 1, image: the golden one has NaN or infinity",
    ),
    "an input": (
        lambda golden: altered(golden, "autoencoder/1/image", 0.5),
        "autoencoder, batch 1, reconstruction: its error",
    ),
    "a case": (
        lambda golden: without(golden, "decoder/3/"),
        "decoder, batch 3: the golden file has no decoder/3/latent",
    ),
    "cut off": (
        lambda golden: golden.write_bytes(golden.read_bytes()[:-100]),
        "golden.safetensors is damaged: it is cut off",
    ),
    "emptied": (
        lambda golden: golden.write_bytes((2).to_bytes(8, "little") + b"{}"),
        "the golden file has no encoder/1/image",
    ),
    "gone": (
        lambda golden: golden.unlink(),
        "golden.safetensors cannot be read: No such file",
    ),
}


@pytest.mark.parametrize("name", GOLDEN_SABOTAGES)
def test_a_sabotaged_golden_file_fails_the_self_test(target: str, name: str, build: Build, tmp_path: Path) -> None:
    """By its digest, and, since what is in it is compared all the same, by its numbers."""
    sabotage, said = GOLDEN_SABOTAGES[name]
    folder = build(target, "conv")
    model = shutil.copytree(folder / "model", tmp_path / "model")
    sabotage(model / "golden.safetensors")
    found = run(folder, "--model", model, "self-test")
    assert (found.returncode, found.stderr) == (1, "")
    assert "FAILED  golden.safetensors: " in found.stdout
    assert said in found.stdout
    assert found.stdout.splitlines()[-1].startswith("FAILED: ")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)


def test_sabotaged_graphs_fail_the_self_test(
    target: str, build: Build, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By their digests; and by what they do, where the contract was made to match them."""
    suffix = SUFFIXES[target]
    folder = shutil.copytree(build(target, "conv"), tmp_path / "program", ignore=shutil.ignore_patterns("build"))
    before = {path: sha256(path.read_bytes()).hexdigest() for path in (folder / "model").iterdir()}
    shutil.copyfile(folder / "model" / f"autoencoder.{suffix}", folder / "model" / f"encoder.{suffix}")
    flipped(folder / "model" / f"decoder.{suffix}")
    other = build(target, "mlp") / "model" / f"autoencoder.{suffix}"
    shutil.copyfile(other, folder / "model" / f"autoencoder.{suffix}")

    found = run(build(target, "conv"), "--model", folder / "model", "self-test")
    assert (found.returncode, found.stderr) == (1, "")
    for role in ("encoder", "decoder", "autoencoder"):
        assert f"FAILED  {role}.{suffix}: its SHA-256 is not the contract's" in found.stdout
        assert f"FAILED  {role}, batch 3: it is not run" in found.stdout

    contract = folder / "autoencoder" / "contract.hpp"
    after = {digest: sha256(path.read_bytes()).hexdigest() for path, digest in before.items()}
    text, count = re.subn("[0-9a-f]{64}", lambda digest: after.get(digest[0], digest[0]), contract.read_text())
    assert count == 1 + len(after)  # the bundle's own, and of every file
    contract.write_text(text)
    built(Path(folder), tmp_path_factory)
    found = run(folder, "self-test")
    assert (found.returncode, found.stderr) == (1, "")
    assert f"ok      encoder.{suffix}" in found.stdout
    for role in ("encoder", "decoder", "autoencoder"):
        assert f"FAILED  {role}, batch 3" in found.stdout, found.stdout
    (folder / "model" / f"decoder.{suffix}").unlink()
    assert f"FAILED  decoder.{suffix}: " in run(folder, "self-test").stdout


def test_what_is_wrong_is_said(target: str, build: Build, tmp_path: Path) -> None:
    folder = build(target, "conv")
    good = tmp_path / "good.png"
    Image.new("L", (9, 9)).save(good)
    (tmp_path / "broken.png").write_bytes(b"not an image")
    for name, text in {
        "short.json": '{"latent": [1, 2]}',
        "other.json": '{"logvar": [1, 2]}',
        "text.json": "latent",
        "large.json": '{"latent": [' + ", ".join(["1e39"] * 32) + "]}",
        "deep.json": "[" * 100_000,
    }.items():
        (tmp_path / name).write_text(text)
    wrong: list[tuple[tuple[str | Path, ...], int, str]] = [
        (("encode", "absent.png"), 1, "absent.png cannot be read: No such file"),
        (("encode", "broken.png"), 1, "broken.png cannot be read as an image: it is no JPEG"),
        (("encode", tmp_path), 1, "it is a folder"),
        (("decode", "short.json", "out.png"), 1, "it holds no latent of this model, whose shape is [32]"),
        (("decode", "other.json", "out.png"), 1, "it has no latent"),
        (("decode", "text.json", "out.png"), 1, "it is not JSON"),
        (("decode", "large.json", "out.png"), 1, "not a number of float32"),
        (("decode", "deep.json", "out.png"), 1, "it is not JSON"),
        (("reconstruct", "good.png", "no/such/folder.png"), 1, "no/such/folder.png cannot be written"),
        (("--model", "nowhere", "encode", "good.png"), 1, "There is no file nowhere/encoder"),
        (("--model",), 2, "usage:"),
        (("encode",), 2, "usage:"),
        (("encode", "good.png", "more"), 2, "usage:"),
        (("self-test", "--quick"), 2, "usage:"),
        (("fly",), 2, "usage:"),
        ((), 2, "usage:"),
    ]
    for arguments, code, said in wrong:
        found = run(folder, *arguments, cwd=tmp_path)
        assert (found.returncode, found.stdout) == (code, ""), (arguments, found)
        assert said in found.stderr
        assert code == 2 or (found.stderr.startswith("error: ") and len(found.stderr.splitlines()) == 1), found.stderr
    assert run(folder, "--help").stdout.startswith("usage:")


def test_it_is_installed_with_its_graphs_and_libraries(target: str, build: Build, tmp_path: Path) -> None:
    folder = build(target, "conv")
    subprocess.run(
        ["cmake", "--install", folder / "build", "--prefix", tmp_path / "prefix"], check=True, capture_output=True
    )
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    command = [tmp_path / "prefix" / "bin" / "autoencoder", "self-test"]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


def test_other_formats(bundles: dict[str, Bundle], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from aedeploy.export import export_bundle

    require_cpp()
    bundle = open_bundle(shutil.copytree(bundles["conv"].path, tmp_path / "bundle"))
    # After one epoch a model may be too rough for int8's usual bound: what is tested is that its own bound is carried.
    rough = {"onnx-int8:psnr": 20.0, "onnx-int8:norm": 0.5}
    bundle = export_bundle(bundle, ["openvino", "onnx-int8"], tolerances=rough).bundle
    for format in ("openvino", "onnx-int8"):
        folder = write_cpp_program("cpp-onnx", bundle, tmp_path / format, format)
        built(folder, tmp_path_factory)
        found = run(folder, "self-test")
        assert found.returncode == 0, found.stdout + found.stderr
        assert ("all batches" in found.stdout) == (format == "onnx-int8")
    flipped(tmp_path / "openvino" / "model" / "encoder.bin")  # its weights are in a file of their own
    assert "FAILED  encoder, batch 1: it is not run" in run(tmp_path / "openvino", "self-test").stdout


@pytest.mark.parametrize("kind", ["conv", "mlp", "gaussian", "vq"])
def test_onnxruntime(
    kind: str, bundles: dict[str, Bundle], prove: Prove, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if "ONNXRUNTIME_ROOT" not in os.environ:
        pytest.skip("ONNXRUNTIME_ROOT names no onnxruntime release for C++, with its include and lib")
    folder = write_cpp_program("cpp-onnx", bundles[kind], tmp_path / "program")
    (folder / "build").symlink_to(built(folder, tmp_path_factory, "-DBACKEND=onnxruntime"))
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr
    assert " with onnxruntime 1." in found.stdout.splitlines()[-1]
    prove("cpp-onnx-onnxruntime", kind, [str(folder / "build" / "autoencoder"), "conform"])


def test_softplus_is_spoken_of(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    from aedeploy.embed import write_program

    for name, spoken in {"stochastic": True, "conv": False}.items():
        said: list[str] = []
        write_program("cpp-onnx", bundles[name], tmp_path / name, say=said.append)
        assert any("Softplus" in sentence for sentence in said) == spoken


def test_the_contract_compiles_whatever_it_says(tmp_path: Path) -> None:
    require_cpp()
    bundle = write_tiny_bundle(tmp_path / "tiny", gaussian=True)
    contract = contract_of(bundle, bundle.manifest.graphs)
    contract["bundle"]["summary"] = 'a "quoted" \\ and\nbroken, ünicode ??/ \x07%s'
    contract["latent"] = None
    contract["graphs"][0]["data"] = {"file": "model/encoder.bin", "sha256": "0" * 64, "bytes": 2**40}
    contract["graphs"][0]["outputs"][0] |= {"absolute": None, "norm": 0.1, "psnr": 35.0}
    contract["noise_sigma"] = 0.25
    folder = write_cpp_program("cpp-onnx", bundle, tmp_path / "program")
    (folder / "autoencoder" / "contract.hpp").write_text(contract_header(contract))
    (tmp_path / "check.cpp").write_text(
        '#include "autoencoder/contract.hpp"\n'
        "using autoencoder::contract;\n"
        'static_assert(contract.bundle.summary == "a \\"quoted\\" \\\\ and broken, ünicode ?\\?/  %s");\n'
        "static_assert(!contract.latent && contract.graphs[0].data->bytes == 1ULL << 40);\n"
        "static_assert(!contract.graphs[0].outputs[0].tolerance.absolute);\n"
        "static_assert(*contract.graphs[0].outputs[0].tolerance.psnr == 35.0);\n"
        "static_assert(contract.graphs[0].inputs[0].shape[0] == autoencoder::any_length);\n"
        "static_assert(*contract.noise_sigma == 0.25);\n"
    )
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only"]
    ran = subprocess.run(["g++", *flags, f"-I{folder}", tmp_path / "check.cpp"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_readme_says_what_the_program_is(build: Build, bundles: dict[str, Bundle]) -> None:
    for target in TARGETS:
        text = (build(target, "vq") / "README.md").read_text()
        assert "@" not in text.replace("@HEIGHT", "@")
        assert bundles["vq"].manifest.digest in text
        assert f"`model/encoder.{SUFFIXES[target]}`" in text


def test_conform_from_the_command_line(build: Build, bundles: dict[str, Bundle]) -> None:
    program = build("cpp-onnx", "conv") / "build" / "autoencoder"
    command = [sys.executable, "-m", "aedeploy", "conform", bundles["conv"].path, "--json", "--", program, "conform"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    assert report["passed"]
    cases = load_golden(bundles["conv"].file(bundles["conv"].manifest.golden))
    assert len([r for r in report["results"] if r["batch"] is not None]) == sum(len(c.outputs) for c in cases)
    assert conform(bundles["conv"], [str(program), "conform"])
