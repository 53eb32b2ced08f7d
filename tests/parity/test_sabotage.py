"""Every way in which an export can be wrong that we could think of: parity or verify must catch each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_samples, save_golden
from aedeploy.bundle.manifest import ROLES
from aedeploy.bundle.store import GOLDEN_FILE, PARITY_FILE, WEIGHTS_FILE, record_file
from aedeploy.errors import BundleError, IntegrityError, ParityError
from aedeploy.export import export_bundle
from aedeploy.export import run as export_run
from aedeploy.export.split import split
from aedeploy.models.bottlenecks import vq
from aedeploy.models.load import load_model
from aedeploy.models.store import golden_cases
from aedeploy.parity.check import check_parity, record_parity, variants_of
from aedeploy.parity.report import COMPOSED
from aedeploy.parity.verify import verify_bundle
from aedeploy.runtime.codec import load

Edit = Callable[[onnx.ModelProto], None]


@pytest.fixture
def victim(exported_bundles: dict[str, Bundle], tmp_path: Path) -> Bundle:
    """An exported colour bundle with standardised inputs, which a test may spoil. ONNX alone: it is what is spoilt."""
    bundle = _copy(exported_bundles["standardised-rgb"], tmp_path / "victim")
    onnx_graphs = tuple(graph for graph in bundle.manifest.graphs if graph.format == "onnx")
    return bundle.save(bundle.manifest.model_copy(update={"graphs": onnx_graphs}))


def _copy(bundle: Bundle, path: Path) -> Bundle:
    return open_bundle(shutil.copytree(bundle.path, path))


def _replace(bundle: Bundle, role: str, content: bytes) -> Bundle:
    """Put another file in a graph's place and vouch for it: what a wrong exporter would do."""
    record = bundle.graph(role, "onnx", allow_failed=True)
    (bundle.path / record.file.path).write_bytes(content)
    return bundle.with_graphs([record.model_copy(update={"file": record_file(bundle.path, record.file.path)})])


def _edit(bundle: Bundle, role: str, edit: Edit) -> Bundle:
    model = onnx.load(bundle.path / bundle.graph(role, "onnx").file.path)
    edit(model)
    return _replace(bundle, role, model.SerializeToString())


def _largest(model: onnx.ModelProto) -> onnx.TensorProto:
    return max(model.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))


def _change_one_weight(by: float) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        tensor = _largest(model)
        array = numpy_helper.to_array(tensor).copy()
        array.flat[array.size // 2] += by
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    return edit


def _blue_first(model: onnx.ModelProto) -> None:
    order = numpy_helper.from_array(np.array([2, 1, 0], dtype=np.int64), "blue_first")
    model.graph.initializer.append(order)
    for node in model.graph.node:
        node.input[:] = ["swapped" if name == "image" else name for name in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Gather", ["image", "blue_first"], ["swapped"], axis=1))


def _without_normalisation(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.size == 3 and tensor.name.endswith(("mean", "std")):
            neutral = np.zeros_like(array) if tensor.name.endswith("mean") else np.ones_like(array)
            tensor.CopyFrom(numpy_helper.from_array(neutral, tensor.name))


def _reversed_latent(model: onnx.ModelProto) -> None:
    last = model.graph.node[-1]
    assert last.output[0] == "latent"
    last.output[0] = "straight"
    for name, values in (("starts", [-1]), ("ends", [-(2**31)]), ("axes", [1]), ("steps", [-1])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(values, dtype=np.int64), name))
    inputs = ["straight", "starts", "ends", "axes", "steps"]
    model.graph.node.append(onnx.helper.make_node("Slice", inputs, ["latent"]))


@pytest.mark.parametrize(
    ("role", "edit"),
    [
        pytest.param("encoder", _change_one_weight(1e-3), id="one weight off by 1e-3"),
        pytest.param("decoder", _change_one_weight(-1e-3), id="one decoder weight off by 1e-3"),
        pytest.param("autoencoder", _change_one_weight(1e-2), id="one autoencoder weight off by 1e-2"),
        pytest.param("encoder", _change_one_weight(float("nan")), id="NaN in one weight"),
        pytest.param("encoder", _blue_first, id="channels in another order"),
        pytest.param("encoder", _without_normalisation, id="no normalisation"),
        pytest.param("encoder", _reversed_latent, id="latent the other way round"),
    ],
)
def test_a_wrong_graph_fails_parity_and_verify(victim: Bundle, role: str, edit: Edit) -> None:
    assert check_parity(victim)
    spoilt = _edit(victim, role, edit)
    report = check_parity(spoilt)
    assert not report
    failed = {graph.role for graph in report.graphs if not graph}
    assert role in failed
    assert failed <= {role, COMPOSED}
    assert any(role in sentence for sentence in report.failures())
    verified = verify_bundle(spoilt)
    assert not verified
    assert all(f"onnx {role}" in sentence for sentence in verified.failures())


def test_a_batch_that_is_baked_in_fails(victim: Bundle, tmp_path: Path) -> None:
    graph = next(g for g in split(load_model(victim), {r: {} for r in ROLES}, np.zeros((1, 8, 8, 3), np.uint8)))
    program = torch.onnx.export(
        graph.module,
        (graph.example[0][:1],),
        dynamo=True,
        input_names=["image"],
        output_names=["latent"],
        external_data=False,
        verbose=False,
    )
    assert program is not None
    report = check_parity(_replace(victim, "encoder", program.model_proto.SerializeToString()))
    assert not report
    assert "batch 2" in report.failures()[0]


def test_a_graph_of_another_bundle_fails(victim: Bundle, exported_bundles: dict[str, Bundle]) -> None:
    other = exported_bundles["other-rgb"]
    foreign = other.file(other.graph("encoder", "onnx").file).read_bytes()
    # The file alone is swapped: its digest gives it away before it runs.
    path = victim.path / victim.graph("encoder", "onnx").file.path
    original = path.read_bytes()
    path.write_bytes(foreign)
    with pytest.raises(IntegrityError, match=r"graphs/onnx/encoder\.onnx"), load(victim.path) as codec:
        codec.encode(np.zeros((1, 8, 8, 3), np.uint8))
    assert any("graphs/onnx/encoder.onnx" in sentence for sentence in verify_bundle(victim).failures())
    path.write_bytes(original)
    # The manifest vouches for it as well: its results give it away.
    spoilt = _replace(victim, "encoder", foreign)
    assert not check_parity(spoilt)
    assert not verify_bundle(spoilt)


def test_a_stale_golden_file_fails_verify(victim: Bundle) -> None:
    path = victim.path / victim.manifest.golden.path
    tensors = load_file(path)
    tensors["encoder/3/latent"] = tensors["encoder/3/latent"] + np.float32(1e-3)
    save_file(tensors, path)
    assert any("golden.safetensors" in sentence for sentence in verify_bundle(victim).failures())
    vouched = victim.save(victim.manifest.model_copy(update={"golden": record_file(victim.path, "golden.safetensors")}))
    failures = verify_bundle(vouched).failures()
    assert any("onnx encoder" in sentence and "latent at batch 3" in sentence for sentence in failures)


def test_a_failed_graph_is_marked_refused_and_runs_only_when_told_to(victim: Bundle) -> None:
    spoilt = _edit(victim, "encoder", _change_one_weight(0.5))
    marked = record_parity(spoilt, check_parity(spoilt))
    assert marked.manifest.graph("encoder", "onnx").parity == "failed"  # type: ignore[union-attr]
    assert marked.manifest.graph("autoencoder", "onnx").parity == "passed"  # type: ignore[union-attr]
    assert json.loads((victim.path / PARITY_FILE).read_text())["passed"] is False
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    with load(marked.path) as codec, pytest.raises(BundleError, match="failed its parity check"):
        codec.encode(pixels)
    with load(marked.path, allow_failed=True) as codec:
        assert codec.encode(pixels).shape[0] == 1
    with pytest.raises(BundleError, match="failed its parity check"):
        open_bundle(marked.path).graph("encoder", "onnx")


def _edit_constant(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """Change every initializer whose name ends so."""

    def edit(model: onnx.ModelProto) -> None:
        found = [tensor for tensor in model.graph.initializer if tensor.name.endswith(name)]
        assert found
        for tensor in found:
            array = np.ascontiguousarray(change(numpy_helper.to_array(tensor)))
            assert not np.array_equal(array, numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    return edit


def _codes_in_another_order(model: onnx.ModelProto) -> None:
    """Of the table and of both parts of the distances to its entries, so that latents stay what they were."""
    (node,) = (node for node in model.graph.node if node.op_type == "Gather")
    table = next(t for t in model.graph.initializer if t.name == node.input[0])
    size, width = table.dims
    for tensor in model.graph.initializer:
        axes = {(size, width): 0, (width, size): 1, (size,): 0}
        if tuple(tensor.dims) in axes:
            array = np.roll(numpy_helper.to_array(tensor), 1, axis=axes[tuple(tensor.dims)])
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def _another_k(by: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        (node,) = (node for node in model.graph.node if node.op_type == "TopK")
        _edit_constant(node.input[1], lambda k: k + by)(model)

    return edit


_THRESHOLD_RAISED = _edit_constant("bottleneck.threshold", lambda threshold: threshold * np.float32(1.05))
_TABLE_SHUFFLED = _edit_constant("bottleneck.codebook", lambda table: np.roll(table, 1, axis=0))


@pytest.mark.parametrize("role", ["encoder", "autoencoder"])
@pytest.mark.parametrize(
    ("recipe", "edit"),
    [
        pytest.param("vq-vae", _TABLE_SHUFFLED, id="codebook shuffled"),
        pytest.param("vq-vae", _edit_constant("bottleneck.codebook", lambda t: t * np.float32(1.001)), id="scaled"),
        pytest.param("fsq", _edit_constant("bottleneck.middle", lambda m: m[:, ::-1]), id="levels in another order"),
        pytest.param("fsq", _edit_constant("bottleneck.shift", np.zeros_like), id="no half step"),
        pytest.param("k-sparse", _another_k(1), id="k one more"),
        pytest.param("k-sparse", _another_k(-1), id="k one less"),
        pytest.param("batch-topk", _THRESHOLD_RAISED, id="threshold raised"),
        pytest.param("batch-topk", _edit_constant("bottleneck.threshold", np.zeros_like), id="no threshold"),
    ],
)
def test_a_wrong_decision_is_no_matter_of_taste(
    exported_bundles: dict[str, Bundle], tmp_path: Path, recipe: str, role: str, edit: Edit
) -> None:
    spoilt = _edit(_copy(exported_bundles[recipe], tmp_path / "spoilt"), role, edit)
    report = check_parity(spoilt, [("onnx", "float32")])
    failed = {graph.role for graph in report.graphs if not graph}
    assert role in failed
    assert failed <= {role, COMPOSED}
    verified = verify_bundle(spoilt)
    assert not verified
    assert all(f"onnx {role}" in sentence for sentence in verified.failures())


def test_codes_by_other_numbers_fail_although_every_latent_is_right(
    exported_bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    spoilt = _edit(_copy(exported_bundles["vq-vae"], tmp_path / "spoilt"), "encoder", _codes_in_another_order)
    report = check_parity(spoilt, [("onnx", "float32")])
    assert [graph.role for graph in report.graphs if not graph] == ["encoder"]
    (failure,) = report.failures()
    assert "indices on real images" in failure
    assert all("indices" in sentence for sentence in verify_bundle(spoilt).failures())


@pytest.fixture(scope="module")
def torn(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, int]:
    """A quantising model to which two codes of one place are all but equally good, exported; and which is second."""
    bundle = _copy(trained_bundles["vq-vae"], tmp_path_factory.mktemp("torn") / "torn")
    samples = load_samples(bundle.file(bundle.manifest.golden))
    model = load_model(bundle)
    module = model.module
    image = torch.from_numpy(samples.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    quantiser = module.bottleneck
    assert isinstance(quantiser, vq.Bottleneck)
    with torch.no_grad():
        latent = quantiser.head(module.features(image[:1]))[0, :, 3, 3]
        indices = module.encode(image)["indices"]
        first, second = indices[0, 3, 3], indices.flatten().bincount(minlength=quantiser.codebook_size).argmin()
        away = quantiser.codebook[first] - latent
        # On the other side of the latent, further away by 5e-5 in squared distance.
        quantiser.codebook[second] = latent - away * (1 + 5e-5 / away.square().sum()).sqrt()
    save_torch({name: value.contiguous() for name, value in module.state_dict().items()}, bundle.path / WEIGHTS_FILE)
    save_golden(bundle.path / GOLDEN_FILE, golden_cases(model, (image * 255).round().byte()), samples)
    records = {"weights": record_file(bundle.path, WEIGHTS_FILE), "golden": record_file(bundle.path, GOLDEN_FILE)}
    return export_bundle(bundle.save(bundle.manifest.model_copy(update=records)), ["onnx"]).bundle, int(second)


def _prefer(second: int) -> Edit:
    """What another way of adding up might do: that code seems nearer by 1e-4."""

    def edit(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == "Sub")

        def nearer(squares: np.ndarray) -> np.ndarray:
            return np.where(np.arange(len(squares)) == second, squares - 1e-4, squares).astype(np.float32)

        _edit_constant(node.input[0], nearer)(model)

    return edit


@pytest.mark.parametrize("roles", [["encoder", "autoencoder"], ["encoder"]])
def test_a_place_that_could_have_either_code_may_have_either(
    torn: tuple[Bundle, int], tmp_path: Path, roles: list[str]
) -> None:
    original, second = torn
    bundle = _copy(original, tmp_path / "torn")
    for role in roles:
        bundle = _edit(bundle, role, _prefer(second))
    report = check_parity(bundle)
    assert report.failures() == []
    decided = {graph.role: graph.decisions for graph in report.graphs}["encoder"]
    assert decided is not None
    assert decided[0] >= 4  # that image is the first of four batches
    verified = verify_bundle(bundle)
    assert verified.failures() == []
    assert sum(result.otherwise or 0 for result in verified.results) >= 2


def test_the_image_of_another_code_is_not_just_any_image(torn: tuple[Bundle, int], tmp_path: Path) -> None:
    """The encoder decides otherwise, which it may; that is no excuse for a whole that is wrong."""
    original, second = torn
    bundle = _edit(_copy(original, tmp_path / "torn"), "encoder", _prefer(second))
    bundle = _edit(bundle, "autoencoder", _TABLE_SHUFFLED)
    assert [graph.role for graph in check_parity(bundle).graphs if not graph] == ["autoencoder"]
    assert all("onnx autoencoder" in sentence for sentence in verify_bundle(bundle).failures())
    assert not verify_bundle(bundle)


def test_an_encoder_that_is_wrong_excuses_nothing(exported_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    """Whole and parts are wrong in the same way, so that they agree with each other."""
    bundle = _copy(exported_bundles["vq-vae"], tmp_path / "wrong")
    for role in ("encoder", "autoencoder"):
        bundle = _edit(bundle, role, _TABLE_SHUFFLED)
    report = check_parity(bundle, [("onnx", "float32")])
    assert {graph.role for graph in report.graphs if not graph} == {"encoder", "autoencoder", COMPOSED}
    assert {r.subject for r in verify_bundle(bundle).results if not r.passed} == {"onnx encoder", "onnx autoencoder"}


def test_an_export_that_is_wrong_raises_and_marks(
    trained_bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: a model that is cut wrongly never leaves export as a good one."""
    bundle = _copy(trained_bundles["mlp-32"], tmp_path / "bundle")

    def split_wrongly(*args: object) -> object:
        graphs = split(*args)  # type: ignore[arg-type]
        with torch.no_grad():
            next(graphs[0].module.parameters()).add_(0.01)
        return graphs

    monkeypatch.setattr(export_run, "split", split_wrongly)
    with pytest.raises(ParityError, match="onnx encoder") as raised:
        export_bundle(bundle, ["onnx"])
    assert raised.value.exit_code == 5
    assert not raised.value.report
    marked = open_bundle(bundle.path)
    assert {g.role: g.parity for g in marked.manifest.graphs}["encoder"] == "failed"


def test_parity_of_what_was_not_exported_says_so(trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    bundle = _copy(trained_bundles["mlp-32"], tmp_path / "bundle")
    bundle = bundle.save(bundle.manifest.model_copy(update={"graphs": ()}))
    with pytest.raises(BundleError, match="aedeploy export"):
        check_parity(bundle)
    with pytest.raises(BundleError, match="no torchscript graphs"):
        variants_of(bundle, ["torchscript"])
