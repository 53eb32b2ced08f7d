"""Graphs of two inputs: a denoiser that is told how much noise there is, in every format, of either kind of pixels."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from recipe_questions import roles_in
from small_denoiser import SIZE, write_small_denoiser
from torch import Tensor, nn
from typer.testing import CliRunner

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_golden, load_samples
from aedeploy.bundle.manifest import ROLES, Pixels
from aedeploy.bundle.store import record_file
from aedeploy.cli.app import app
from aedeploy.export import export_bundle
from aedeploy.export.bisect import FORMATS as BISECTED
from aedeploy.export.bisect import bisect
from aedeploy.export.lint import lint, subject_of
from aedeploy.export.quantisation.judge import Judge, run
from aedeploy.export.run import FORMATS, format_names
from aedeploy.export.split import split
from aedeploy.models.load import load_model
from aedeploy.names import load_named
from aedeploy.parity.check import check_parity
from aedeploy.parity.verify import verify_bundle
from aedeploy.runtime.exported_file import read_exported_file
from aedeploy.runtime.open import is_runnable, open_graph

WRITTEN = [n for n in format_names() if is_runnable(n) and not load_named(FORMATS, n, "format").missing()]
PIXELS: tuple[Pixels, ...] = ("float32", "uint8")
KINDS = {"whole": True, "cut": False}


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A denoiser with bridges, which is an autoencoder alone, and one that can be cut: in all formats, both pixels."""
    bundle = write_small_denoiser(tmp_path_factory.mktemp("told") / request.param, skips=KINDS[request.param])
    for pixels in PIXELS:
        bundle = export_bundle(bundle, WRITTEN, pixels=pixels, parity=False).bundle
    return bundle


@pytest.fixture
def whole(tmp_path: Path) -> Bundle:
    """A denoiser with bridges that a test may change, not exported yet."""
    return write_small_denoiser(tmp_path / "whole")


def test_every_graph_takes_what_the_manifest_says(exported: Bundle) -> None:
    wanted = {(format, pixels, role) for format in WRITTEN for pixels in PIXELS for role in roles_in(exported)}
    assert {(g.format, g.pixels, g.role) for g in exported.manifest.graphs} == wanted
    for graph in exported.manifest.graphs:
        names = [spec.name for spec in graph.inputs]
        assert names == (["latent"] if graph.role == "decoder" else ["image", "sigma"])
        for spec in graph.inputs:
            if spec.name == "sigma":
                # Of graphs of bytes too: levels are no bytes.
                assert (spec.dtype, spec.shape) == ("float32", ("batch", 1, "height", "width"))
                assert (spec.minimum, spec.maximum) == (0.0, 55.0)


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("format", WRITTEN)
def test_every_format_is_proven(exported: Bundle, format: str, pixels: Pixels) -> None:
    report = check_parity(exported, [(format, pixels)])
    assert report.failures() == []
    sizes = {case.size for graph in report.graphs for case in graph.cases}
    assert {f"{SIZE}x{SIZE}", f"{SIZE + 4}x{SIZE + 12}", f"{SIZE + 8}x{SIZE}"} <= sizes


def test_golden_vectors_tell_the_noise_and_verify_runs_them(exported: Bundle) -> None:
    for case in load_golden(exported.file(exported.manifest.golden)):
        assert ("sigma" in case.inputs) == (case.role != "decoder")
        assert "sigma" not in case.outputs
        if case.role != "decoder":
            height, width = case.inputs["image"].shape[2:]
            assert case.inputs["sigma"].shape == (case.batch, 1, height, width)
            assert height != width
    report = verify_bundle(exported)
    assert report.failures() == []
    looked_at = {result.subject for result in report.results if result.check == "golden"}
    assert looked_at == {f"{graph.variant} {graph.role}" for graph in exported.manifest.graphs}


@pytest.mark.parametrize("format", WRITTEN)
def test_a_map_acts_where_it_is(exported: Bundle, format: str) -> None:
    """Noise that is told of in one corner changes nothing in the corner that is farthest away."""
    size = 64
    image = np.random.default_rng(0).random((1, 1, size, size), dtype=np.float32)
    low, corner = (np.full((1, 1, size, size), 5, np.float32) for _ in range(2))
    corner[:, :, :8, :8] = 50
    with open_graph(exported, "autoencoder", format=format) as runner:
        one, other = (runner.run({"image": image, "sigma": sigma})["reconstruction"] for sigma in (low, corner))
    changed = np.abs(one - other)[0, 0]
    assert changed[:8, :8].max() > 1e-4
    assert changed[-16:, -16:].max() == 0


@pytest.mark.parametrize("format", WRITTEN)
def test_a_graph_asked_without_the_noise_says_so(exported: Bundle, format: str) -> None:
    from aedeploy.errors import BackendError

    image = np.zeros((1, 1, SIZE, SIZE), np.float32)
    with open_graph(exported, "autoencoder", format=format) as runner:
        with pytest.raises(BackendError, match="sigma"):
            runner.run({"image": image})
        for shape, name in (
            ((2, 1, SIZE, SIZE), "batch"),
            ((1, 1, SIZE, SIZE + 4), "width"),
            ((1, 1, 4, SIZE), "height"),
        ):
            with pytest.raises(BackendError, match=f"'image' and 'sigma' differ in {name}"):
                runner.run({"image": image, "sigma": np.zeros(shape, np.float32)})


def test_files_say_of_themselves_what_they_are_told(exported: Bundle) -> None:
    for format, pixels in (("onnx", "float32"), ("torchscript", "uint8")):
        record = exported.graph("autoencoder", format, pixels)  # type: ignore[arg-type]
        contract = read_exported_file(exported.file(record.file)).contract
        assert contract.noise == exported.manifest.noise
        assert contract.inputs == record.inputs


@pytest.mark.parametrize("opset", [18, 21, 25])
def test_every_opset(whole: Bundle, opset: int) -> None:
    formats = [format for format in ("onnx", "onnx-fp16", "onnx-int8") if format in WRITTEN]
    bundle = export_bundle(whole, formats, opset=opset).bundle
    assert {graph.opset for graph in bundle.manifest.graphs} == {opset}


def test_exporting_again_gives_the_same_bytes(exported: Bundle, tmp_path: Path) -> None:
    again = open_bundle(shutil.copytree(exported.path, tmp_path / "again"))
    formats = ["onnx", "onnx-int8", "onnx-fp16"]
    again = export_bundle(again, [format for format in formats if format in WRITTEN], parity=False).bundle
    digests = {(g.format, g.pixels, g.role): g.file.sha256 for g in exported.manifest.graphs}
    assert {(g.format, g.pixels, g.role): g.file.sha256 for g in again.manifest.graphs} == digests


def test_a_colour_model_and_the_command(tmp_path: Path) -> None:
    bundle = write_small_denoiser(tmp_path / "colour", channels=3)
    result = CliRunner().invoke(app, ["export", str(bundle.path), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["parity"]["passed"]
    assert [graph["role"] for graph in found["graphs"]] == ["autoencoder"]
    shown = CliRunner().invoke(app, ["inspect", str(bundle.path)], env={"COLUMNS": "160"})
    assert "told as sigma, its standard deviation in levels of 255, from 0 to 55" in " ".join(shown.output.split())
    assert "sigma float32 [batch, 1, height, width]" in shown.output


@pytest.mark.parametrize("pixels", ["float32", pytest.param("uint8", marks=pytest.mark.slow)])
def test_in_sound_graphs_the_search_for_a_node_finds_none(exported: Bundle, pixels: Pixels) -> None:
    for format in [name for name in BISECTED if name in WRITTEN]:
        for role in roles_in(exported):
            found = bisect(exported, exported.graph(role, format, pixels))
            assert found.first is None, found.reason
            assert found.compared >= 4


@pytest.mark.parametrize("format", ["onnx", "onnx-int8"])
def test_a_node_that_takes_the_noise_in_another_unit_is_found(exported: Bundle, tmp_path: Path, format: str) -> None:
    bundle = open_bundle(shutil.copytree(exported.path, tmp_path / "spoilt"))
    record = bundle.graph("autoencoder", format)
    file = bundle.path / record.file.path
    model = onnx.load(file)
    node = next(node for node in model.graph.node if "sigma" in node.input)
    assert node.op_type == "Div"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1.0), "one"))
    node.input[1] = "one"
    file.write_bytes(model.SerializeToString())
    bundle = bundle.with_graphs([record.model_copy(update={"file": record_file(bundle.path, record.file.path)})])
    found = bisect(bundle, bundle.graph("autoencoder", format))
    assert found.first is not None
    assert found.first.operator in ("Div", "Concat", "Conv")
    assert not check_parity(bundle, [(format, "float32")])


def test_a_node_that_clips_the_noise_is_found(exported: Bundle, tmp_path: Path) -> None:
    """As for an image, which ends at 1."""
    bundle = open_bundle(shutil.copytree(exported.path, tmp_path / "spoilt"))
    record = bundle.graph("autoencoder", "onnx")
    file = bundle.path / record.file.path
    model = onnx.load(file)
    for node in model.graph.node:
        node.input[:] = ["clipped" if name == "sigma" else name for name in node.input]
    for name, value in (("least", 0.0), ("most", 1.0)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    model.graph.node.insert(0, helper.make_node("Clip", ["sigma", "least", "most"], ["clipped"], name="clip"))
    file.write_bytes(model.SerializeToString())
    bundle = bundle.with_graphs([record.model_copy(update={"file": record_file(bundle.path, record.file.path)})])
    found = bisect(bundle, bundle.graph("autoencoder", "onnx"))
    assert found.first is not None
    assert found.first.operator == "Div"
    assert "it takes clipped" in (found.reason or "")


@pytest.mark.parametrize("pixels", PIXELS)
def test_int8_costs_a_tenth_of_a_decibel_of_what_the_model_itself_leaves(exported: Bundle, pixels: Pixels) -> None:
    samples = load_samples(exported.file(exported.manifest.golden))
    graphs = split(load_model(exported), {role: {} for role in ROLES}, samples, pixels)
    graph = next(graph for graph in graphs if graph.role == "autoencoder")
    record = exported.graph("autoencoder", "onnx-int8", pixels)
    model = onnx.load(exported.file(record.file))
    clean = samples.transpose(0, 3, 1, 2) / np.float32(255)
    for sigma in (15.0, 25.0, 50.0):
        inputs = graph.real_inputs(samples, sigma)
        of_int8, of_float = (_psnr(graph.images(out), clean) for out in (run(model, inputs), graph.reference(inputs)))
        assert of_int8 > of_float - 0.15
        # What the search goes by.
        assert Judge(graph).own_psnr(sigma) == pytest.approx(of_float, abs=1e-3)
    assert record.quantisation is not None
    assert record.quantisation.psnr is not None
    assert record.quantisation.psnr >= Judge(graph).own_psnr(0.25 * 55) + 16.5


class _ToldOfTheBatch(nn.Module):
    """One level for a batch."""

    def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
        return image * (1 - sigma.mean() / 100)


class _Sampling(nn.Module):
    """Noise, as much as there was."""

    def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
        return (image + torch.randn_like(image) * sigma / 255).clamp(0, 1)


class _OfOneSize(nn.Module):
    """A map of the size that it was trained at."""

    def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
        return image * (1 - sigma / 100) + torch.zeros(1, 1, SIZE, SIZE)


class _NotFinite(nn.Module):
    """Divided by the noise, of which there may be none."""

    def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
        return image + 0 / sigma.amin((2, 3), keepdim=True)


class _Sound(nn.Module):
    def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
        return (image * (1 - sigma / 100)).clamp(0, 1)


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        (_ToldOfTheBatch, {"batch"}),
        (_Sampling, {"random-nodes"}),
        (_OfOneSize, {"capture", "size"}),
        (_NotFinite, {"finite"}),
        (_Sound, set()),
    ],
)
def test_the_lint_tells_a_model_the_noise(whole: Bundle, module: type[nn.Module], rules: set[str]) -> None:
    model = replace(load_model(whole), module=module())
    samples = load_samples(whole.file(whole.manifest.golden))
    found = {finding.rule for finding in lint(subject_of(model, samples, ("onnx",))) if finding.severity == "error"}
    assert bool(found) == bool(rules)
    assert found <= rules


def _psnr(images: np.ndarray, clean: np.ndarray) -> float:
    images = images if images.shape == clean.shape else images.transpose(0, 3, 1, 2)
    return float(-10 * np.log10(np.mean((images - clean).astype(np.float64) ** 2)))
