"""Every format: what is in its files, what is not, and that they compute what the golden vectors say."""

from __future__ import annotations

import getpass
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from aedeploy.bundle import Bundle, GraphRecord, open_bundle
from aedeploy.bundle.golden import GoldenCase, load_golden
from aedeploy.bundle.manifest import ROLES, Pixels
from aedeploy.errors import ConfigError, ExportError, MissingDependencyError
from aedeploy.export import export_bundle
from aedeploy.export.formats.exported_program import METADATA_FILE
from aedeploy.export.run import format_names
from aedeploy.export.split import split
from aedeploy.images.pixels import to_bytes
from aedeploy.models.load import load_model
from aedeploy.names import literals_in, load_named
from aedeploy.runtime.codec import IMAGES
from aedeploy.runtime.open import backend_of, open_graph

#: Both take any size; one has a codebook.
BUNDLES = ("denoising", "vq-vae")
PIXELS: tuple[Pixels, ...] = ("float32", "uint8")

#: How far an image may be from PyTorch's, in dB, and a latent, in parts of its norm, by what computes it.
LEAST = {"onnx-fp16": (50.0, 5e-3), "onnx-int8": (35.0, 0.15)}
FLOAT32 = (100.0, 1e-5)


def missing(format: str) -> str | None:
    package: str | None = load_named("aedeploy.export.formats", format, "format").missing()
    return package


@pytest.fixture(scope="module", params=format_names())
def format(request: pytest.FixtureRequest) -> str:
    if missing(request.param):
        pytest.skip(f"the format {request.param} needs {missing(request.param)}, which is not installed")
    return str(request.param)


@pytest.fixture(scope="module")
def all_in_every_format(
    trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Bundle]:
    """Bundles exported in every format that can be written here, with either kind of pixels."""
    # Once for all: of a fixture with parameters pytest would make each anew for every format.
    made = {}
    for name in BUNDLES:
        path = tmp_path_factory.mktemp("formats") / name
        bundle = open_bundle(shutil.copytree(trained_bundles[name].path, path))
        writable = [format for format in format_names() if not missing(format)]
        for pixels in PIXELS:
            bundle = export_bundle(bundle, writable, pixels=pixels, parity=False).bundle
        made[name] = bundle
    return made


@pytest.fixture(params=BUNDLES)
def in_every_format(request: pytest.FixtureRequest, all_in_every_format: dict[str, Bundle]) -> Bundle:
    """One of them."""
    return all_in_every_format[request.param]


@pytest.fixture(params=PIXELS)
def exported(request: pytest.FixtureRequest, in_every_format: Bundle, format: str) -> Bundle:
    """The same with the graphs of one format and one kind of pixels, and no others."""
    manifest = in_every_format.manifest
    graphs = tuple(g for g in manifest.graphs if (g.format, g.pixels) == (format, request.param))
    assert len(graphs) == len(ROLES)
    return Bundle(in_every_format.path, manifest.model_copy(update={"graphs": graphs}))


def files_of(bundle: Bundle) -> list[Path]:
    return [bundle.file(record) for graph in bundle.manifest.graphs for record in (graph.file, graph.data) if record]


def as_given(case: GoldenCase, pixels: Pixels) -> GoldenCase:
    """A golden case as a graph of those pixels is called."""
    if pixels == "float32":
        return case
    inputs, outputs = (
        {name: to_bytes(array) if name in IMAGES else array for name, array in arrays.items()}
        for arrays in (case.inputs, case.outputs)
    )
    return GoldenCase(role=case.role, batch=case.batch, inputs=inputs, outputs=outputs)


def assert_near(bundle: Bundle, record: GraphRecord, got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    decibels, share = LEAST.get(record.format, FLOAT32)
    assert list(got) == [spec.name for spec in record.outputs]
    for name, reference in want.items():
        result = got[name]
        assert result.dtype == reference.dtype
        assert result.shape == reference.shape
        if name == "indices":
            # A code may fall otherwise where two are nearly as near.
            assert np.mean(result != reference) <= (0.0 if record.format not in LEAST else 0.1)
            continue
        error = result.astype(np.float64) - reference
        if name in IMAGES:
            scale = 255.0 if reference.dtype == np.uint8 else 1.0
            # Of bytes, those on the edge between two may go to either.
            limit = min(decibels, 60.0) if scale == 255.0 else decibels
            assert -10 * np.log10(np.mean((error / scale) ** 2) + 1e-30) >= limit
        else:
            assert np.linalg.norm(error) <= share * np.linalg.norm(reference) + 1e-6


def test_the_golden_vectors_come_out(exported: Bundle) -> None:
    cases = load_golden(exported.file(exported.manifest.golden))
    for record in exported.manifest.graphs:
        with open_graph(exported, record.role, format=record.format, pixels=record.pixels) as runner:
            for case in cases:
                if case.role == record.role:
                    given = as_given(case, record.pixels)
                    assert_near(exported, record, runner.run(given.inputs), given.outputs)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_any_batch_goes_in_and_each_image_comes_out_as_it_does_alone(exported: Bundle, batch: int) -> None:
    (case,) = (c for c in load_golden(exported.file(exported.manifest.golden)) if (c.role, c.batch) == ("encoder", 3))
    record = exported.manifest.graphs[0]
    image = np.take(as_given(case, record.pixels).inputs["image"], range(batch), axis=0, mode="wrap")
    with open_graph(exported, "autoencoder", format=record.format, pixels=record.pixels) as runner:
        together = runner.run({"image": image})["reconstruction"]
        alone = np.concatenate([runner.run({"image": image[i : i + 1]})["reconstruction"] for i in range(batch)])
    assert together.shape == image.shape
    # Sums of a batch are added up in another order, and a number on the edge between two steps goes to either.
    step = {"onnx-int8": 0.02, "onnx-fp16": 2e-3}.get(record.format, 1e-5)
    scale, step = (255.0, max(step, 1 / 255)) if record.pixels == "uint8" else (1.0, step)
    assert np.abs(together.astype(np.float64) - alone).max() / scale <= step * 1.001


def test_a_fully_convolutional_model_takes_any_size(exported: Bundle) -> None:
    record = exported.manifest.graphs[0]
    with open_graph(exported, "autoencoder", backend="eager") as reference:
        for height, width in ((4, 4), (32, 40)):
            images = np.random.default_rng(0).integers(0, 256, (2, height, width, 1), dtype=np.uint8)
            floats = images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
            want = reference.run({"image": floats})["reconstruction"]
            with open_graph(exported, "autoencoder", format=record.format, pixels=record.pixels) as runner:
                got = runner.run({"image": floats if record.pixels == "float32" else images})["reconstruction"]
            if record.pixels == "uint8":
                want = to_bytes(want)
            assert got.shape == want.shape
            if record.format not in LEAST:  # noise is nothing that less precise graphs were measured on
                limit = 1 if record.pixels == "uint8" else 1e-5
                assert np.abs(got.astype(np.float64) - want).max() <= limit


def test_no_file_names_a_path_or_a_source_line_of_this_machine(exported: Bundle) -> None:
    here = [
        str(Path(__file__).resolve().parents[2]),
        str(exported.path),
        str(Path(torch.__file__).parents[1]),
        str(Path.home()) + "/",
        f"/{getpass.getuser()}/",
        "site-packages",
        "return self.",
    ]
    for path in files_of(exported):
        content = path.read_bytes()
        for needle in here:
            assert needle.encode() not in content, f"{path.name} names {needle}"
        # TorchScript calls its own entries code/….py: no source of ours is named so.
        assert not re.search(rb"[\w/]+\.py\W[^\n]{0,8}line", content)


def test_each_file_says_what_it_is(exported: Bundle) -> None:
    digest = exported.manifest.digest.encode()
    for record in exported.manifest.graphs:
        content = exported.file(record.file).read_bytes()
        assert digest in content
        assert record.oldest_runtime
        assert record.producer["aedeploy"]


def test_the_files_have_the_suffix_that_the_list_says(exported: Bundle) -> None:
    for record in exported.manifest.graphs:
        assert record.file.path.endswith(str(literals_in("aedeploy.export.formats", record.format)["SUFFIX"]))
        assert (record.data is not None) == (record.format in ("openvino", "ncnn"))


def test_inputs_and_outputs_stay_as_they_are_said_to_be(exported: Bundle) -> None:
    for record in exported.manifest.graphs:
        if record.file.path.endswith(".onnx"):
            model = onnx.load(exported.file(record.file), load_external_data=False)
            onnx.checker.check_model(model, full_check=True)
            assert not any(tensor.external_data for tensor in model.graph.initializer)
            for specs, values in ((record.inputs, model.graph.input), (record.outputs, model.graph.output)):
                kinds = [onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type) for v in values]
                assert [(s.name, np.dtype(s.dtype)) for s in specs] == list(
                    zip([v.name for v in values], kinds, strict=True)
                )


def test_every_backend_is_named_by_the_formats_that_it_runs(format: str) -> None:
    assert format in load_named("aedeploy.runtime.backends", backend_of(format), "backend").FORMATS


class TestOptions:
    @pytest.mark.parametrize("format", format_names())
    def test_what_is_listed_is_what_the_writer_has(self, format: str) -> None:
        module = load_named("aedeploy.export.formats", format, "format")
        listed = literals_in("aedeploy.export.formats", format)
        assert (listed["SUFFIX"], listed["OPTIONS"]) == (module.SUFFIX, module.OPTIONS)

    @pytest.mark.parametrize("format", [f for f in format_names() if not f.startswith("onnx") and f != "ort"])
    def test_an_opset_is_refused_where_there_is_none(self, trained_bundles: dict[str, Bundle], format: str) -> None:
        with pytest.raises(ConfigError, match=f"--opset has no meaning for {format}"):
            export_bundle(trained_bundles["mlp-32"], [format], opset=18)

    @pytest.mark.parametrize("format", [f for f in format_names() if f != "onnx-int8"])
    def test_calibration_is_for_int8_alone(self, trained_bundles: dict[str, Bundle], format: str) -> None:
        images = np.zeros((4, 28, 28, 1), np.uint8)
        with pytest.raises(ConfigError, match=f"--calibration has no meaning for {format}"):
            export_bundle(trained_bundles["mlp-32"], [format], calibration=images)

    @pytest.mark.parametrize("format", ["onnx", "onnx-fp16", "onnx-int8", "ort"])
    def test_the_opset_is_the_one_asked_for(
        self, trained_bundles: dict[str, Bundle], tmp_path: Path, format: str
    ) -> None:
        copied = open_bundle(shutil.copytree(trained_bundles["mlp-32"].path, tmp_path / "copy"))
        graphs = export_bundle(copied, [format], opset=18, parity=False).graphs
        assert {graph.opset for graph in graphs} == {18}
        with pytest.raises(ConfigError, match="--opset 7: choose one from 18"):
            export_bundle(copied, [format], opset=7)

    def test_a_format_whose_writer_is_not_installed_comes_with_what_installs_it(
        self, trained_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from aedeploy.export.formats import openvino

        monkeypatch.setattr(openvino, "missing", lambda: "openvino")
        with pytest.raises(MissingDependencyError, match=r"'openvino'.*pip install 'aedeploy\[openvino\]'"):
            export_bundle(trained_bundles["mlp-32"], ["openvino"])


class _Sampling(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + torch.randn_like(image)


def test_a_random_node_is_refused_by_every_format(
    format: str, trained_bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    import dataclasses

    bundle = trained_bundles["mlp-32"]
    samples = np.zeros((4, 28, 28, 1), np.uint8)
    graph = split(load_model(bundle), {role: {} for role in ROLES}, samples)[-1]
    module = load_named("aedeploy.export.formats", format, "format")
    with pytest.raises(ExportError, match=r"random or training node|random node"):
        module.write(dataclasses.replace(graph, module=_Sampling()), tmp_path / f"wrong{module.SUFFIX}", {})


class TestExportedProgram:
    @pytest.fixture
    def path(self, trained_bundles: dict[str, Bundle], tmp_path: Path) -> Path:
        copied = open_bundle(shutil.copytree(trained_bundles["fsq"].path, tmp_path / "fsq"))
        bundle = export_bundle(copied, ["exported-program"], parity=False).bundle
        return bundle.file(bundle.graph("encoder", "exported-program").file)

    def test_it_holds_no_pickle_and_says_what_it_is(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        # A pickle begins so, or lies in a zip file of its own.
        assert not any(
            content.startswith((b"\x80", b"PK")) for name, content in contents.items() if "weight_" not in name
        )
        assert not any(b'"use_pickle": true' in content for content in contents.values())
        assert contents["graph/data/sample_inputs/model.pt"] == b""
        metadata = json.loads(contents[f"graph/extra/{METADATA_FILE}"])
        assert metadata["aedeploy.role"] == "encoder"
        program = json.loads(contents["graph/models/model.json"])
        assert {str(node["metadata"]) for node in program["graph_module"]["graph"]["nodes"]} == {"{}"}

    def test_pytorch_loads_it_without_us(self, path: Path) -> None:
        extra = {METADATA_FILE: ""}
        program = torch.export.load(path, extra_files=extra)
        latent, indices = program.module()(torch.rand(5, 1, 16, 20))
        assert (latent.shape, indices.shape) == ((5, 3, 4, 5), (5, 4, 5))
        assert json.loads(extra[METADATA_FILE])["aedeploy.role"] == "encoder"

    def test_tensors_start_where_they_may_be_mapped(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                assert entry.compress_type == zipfile.ZIP_STORED
                assert (entry.header_offset + 30 + len(entry.filename) + len(entry.extra)) % 64 == 0


class TestOpenvino:
    def test_weights_are_not_halved_in_silence(self, trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
        pytest.importorskip("openvino")
        copied = open_bundle(shutil.copytree(trained_bundles["mlp-32"].path, tmp_path / "copy"))
        record = export_bundle(copied, ["openvino"], parity=False).bundle.graph("decoder", "openvino")
        weights = sum(p.numel() for p in load_model(copied).module.decoder.parameters())  # type: ignore[union-attr]
        assert record.data is not None
        assert record.data.bytes >= 4 * weights
        assert b'element_type="f16"' not in (copied.path / record.file.path).read_bytes()

    def test_a_softplus_far_below_zero_is_still_a_number(self) -> None:
        """A logarithm of it is taken next: where OpenVINO's own gives 0 or less, that is none."""
        pytest.importorskip("openvino")
        from aedeploy.export.formats.openvino import _spell_out_softplus
        from aedeploy.runtime.backends.openvino import load_openvino

        x = np.linspace(-60, 60, 241, dtype=np.float32)
        shape = [len(x)]
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Softplus", ["x"], ["y"])],
            "graph",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
        _spell_out_softplus(model)
        onnx.checker.check_model(model, full_check=True)
        core = load_openvino().Core()
        compiled = core.compile_model(
            core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        want = np.logaddexp(0.0, x.astype(np.float64))
        np.testing.assert_allclose(compiled({"x": x})["y"], want, rtol=2e-6)


class TestOrt:
    def test_it_opens_without_an_onnx_parser_and_keeps_its_metadata(
        self, trained_bundles: dict[str, Bundle], tmp_path: Path
    ) -> None:
        copied = open_bundle(shutil.copytree(trained_bundles["mlp-32"].path, tmp_path / "copy"))
        bundle = export_bundle(copied, ["ort"], parity=False).bundle
        content = bundle.file(bundle.graph("encoder", "ort").file).read_bytes()
        assert content[4:8] == b"ORTM"
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        assert metadata["aedeploy.bundle_digest"] == bundle.manifest.digest

    def test_no_layout_of_this_cpu_is_in_it(self, trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
        copied = open_bundle(shutil.copytree(trained_bundles["ae"].path, tmp_path / "copy"))
        bundle = export_bundle(copied, ["ort"], parity=False).bundle
        content = bundle.file(bundle.graph("autoencoder", "ort").file).read_bytes()
        # Their kernels are named so; the domain alone is in every file.
        assert b"Reorder" not in content
        assert b"nchwc" not in content.replace(b"com.microsoft.nchwc", b"")
