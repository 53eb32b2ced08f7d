"""The programs in C++: they build without a warning, prove themselves, read files as we do, and say what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from embed.colour import assert_colours_are_kept
from embed.cpp_programs import TARGETS, Programs, built, require_cpp, run, write_cpp_program
from PIL import Image
from tiny_bundle import write_tiny_bundle

import aedeploy
from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_golden
from aedeploy.bundle.store import record_file
from aedeploy.embed import write_program
from aedeploy.embed.contract import contract_of
from aedeploy.embed.targets._cpp import contract_header
from aedeploy.parity.conform import conform

Prove = Callable[..., object]


@pytest.fixture(scope="module")
def build(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(bundles, tmp_path_factory)


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("kind", ["conv", "mlp", "gaussian", "vq"])
def test_it_conforms_and_proves_itself(target: str, kind: str, build: Programs, prove: Prove) -> None:
    folder = build(target, kind)
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr
    # Four files, three graphs at two batch sizes, and the verdict.
    assert found.stdout.count("ok  ") >= 4 + 3 * 2
    assert found.stdout.splitlines()[-1].startswith("passed: ")
    prove(target, kind, [str(folder / "build" / "autoencoder"), "conform"])


@pytest.mark.parametrize("recipe", ["k-sparse", "conv"])
def test_models_that_choose_and_models_of_any_size(target: str, recipe: str, build: Programs) -> None:
    found = run(build(target, recipe), "self-test")
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_model_of_any_size_takes_any_and_refuses_what_its_rule_excludes(
    target: str, build: Programs, bundles: dict[str, Bundle]
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


def test_colour(target: str, build: Programs, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    folder = build(target, "standardised-rgb")
    assert_colours_are_kept(run, folder, bundles["standardised-rgb"], tmp_path)


@pytest.mark.parametrize("kind", ["conv", "gaussian", "vq"])
def test_encode_decode_and_reconstruct(
    target: str, kind: str, build: Programs, bundles: dict[str, Bundle], tmp_path: Path
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


def test_what_is_wrong_is_said(target: str, build: Programs, tmp_path: Path) -> None:
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


def test_it_is_installed_with_its_graphs_and_libraries(target: str, build: Programs, tmp_path: Path) -> None:
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
    weights = tmp_path / "openvino" / "model" / "encoder.bin"
    weights.write_bytes(weights.read_bytes()[:-4] + b"....")
    assert "FAILED  encoder, batch 1: it is not run" in run(tmp_path / "openvino", "self-test").stdout


@pytest.mark.parametrize("kind", ["conv", "mlp", "gaussian", "vq"])
def test_onnxruntime(
    kind: str, bundles: dict[str, Bundle], prove: Prove, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if "ONNXRUNTIME_ROOT" not in os.environ:
        pytest.skip("ONNXRUNTIME_ROOT names no onnxruntime release for C++, with its include and lib")
    folder = write_cpp_program("cpp-onnx", bundles[kind], tmp_path / "program")
    built(folder, tmp_path_factory, "-DBACKEND=onnxruntime")
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr
    assert " with onnxruntime 1." in found.stdout.splitlines()[-1]
    prove("cpp-onnx-onnxruntime", kind, [str(folder / "build" / "autoencoder"), "conform"])


@pytest.mark.parametrize("roles", [("autoencoder",), ("encoder", "decoder")])
def test_a_bundle_that_has_not_every_graph(
    roles: tuple[str, ...], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    graphs = tuple(graph for graph in bundle.manifest.graphs if graph.role in roles)
    latent = bundle.manifest.latent if "encoder" in roles else None
    bundle = bundle.save(bundle.manifest.model_copy(update={"graphs": graphs, "latent": latent}))
    folder = write_cpp_program("cpp-onnx", bundle, tmp_path / "program")
    built(folder, tmp_path_factory)
    assert run(folder, "self-test").returncode == 0
    image = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(4).integers(0, 256, (8, 8), dtype=np.uint8)).save(image)
    assert run(folder, "reconstruct", image, tmp_path / "out.png").returncode == 0
    whole = aedeploy.load(write_tiny_bundle(tmp_path / "whole"))
    wanted = whole.reconstruct([image])[0, :, :, 0].astype(int)
    assert np.abs(np.asarray(Image.open(tmp_path / "out.png")).astype(int) - wanted).max() <= 1
    if "encoder" not in roles:
        assert run(folder, "encode", image).stderr == "error: This model has no encoder.\n"
        assert "This model cannot be cut" in run(folder, "decode", image, image).stderr
    answers = run(folder, "conform", input=f"conform 1\nimage {image}\nrun encoder 0\n").stdout
    assert ("\nskip This model has no encoder." in answers) == ("encoder" not in roles)


def test_softplus_is_spoken_of(tmp_path: Path) -> None:
    import onnx

    bundle = write_tiny_bundle(tmp_path / "tiny")
    encoder = bundle.graph("encoder", "onnx")
    for name, spoken in {"without": False, "with": True}.items():
        said: list[str] = []
        write_program("cpp-onnx", bundle, tmp_path / name, say=said.append)
        assert any("Softplus" in sentence for sentence in said) == spoken
        model = onnx.load(bundle.path / encoder.file.path)
        model.graph.node.append(onnx.helper.make_node("Softplus", ["latent"], ["unused"]))
        onnx.save(model, bundle.path / encoder.file.path)
        record = encoder.model_copy(update={"file": record_file(bundle.path, encoder.file.path)})
        bundle = bundle.with_graphs([record])


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


def test_the_readme_says_what_the_program_is(build: Programs, bundles: dict[str, Bundle]) -> None:
    for target in TARGETS:
        text = (build(target, "vq") / "README.md").read_text()
        assert "@" not in text.replace("@HEIGHT", "@")
        assert bundles["vq"].manifest.digest in text
        assert f"`model/encoder.{'onnx' if target == 'cpp-onnx' else 'pt'}`" in text


def test_conform_from_the_command_line(build: Programs, bundles: dict[str, Bundle]) -> None:
    program = build("cpp-onnx", "conv") / "build" / "autoencoder"
    command = [sys.executable, "-m", "aedeploy", "conform", bundles["conv"].path, "--json", "--", program, "conform"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    assert report["passed"]
    cases = load_golden(bundles["conv"].file(bundles["conv"].manifest.golden))
    assert len([r for r in report["results"] if r["batch"] is not None]) == sum(len(c.outputs) for c in cases)
    assert conform(bundles["conv"], [str(program), "conform"])
