"""Graphs in less than float32: exact rewritings, ranges, plans, and what is decided."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_samples
from aedeploy.bundle.manifest import ROLES, Role
from aedeploy.errors import ExportError
from aedeploy.export import export_bundle
from aedeploy.export.formats import onnx_fp16, onnx_int8
from aedeploy.export.quantisation import search
from aedeploy.export.quantisation.compact import compacted
from aedeploy.export.quantisation.float16 import as_float16, left_in_float32
from aedeploy.export.quantisation.int8 import Plan, layers_of, quantised, quantised_tensors
from aedeploy.export.quantisation.judge import Cost, extremes, run
from aedeploy.export.quantisation.pooling import pool_before_normalising
from aedeploy.export.quantisation.ranges import measure, minmax
from aedeploy.export.quantisation.transposed import without_transposed
from aedeploy.export.quantisation.walk import Walk, inferred, name_nodes, sort_nodes
from aedeploy.export.split import Graph, split
from aedeploy.models.load import load_model

_NO_METADATA: dict[Role, dict[str, str]] = {role: {} for role in ROLES}


def model_of(nodes: list[Any], weights: dict[str, np.ndarray], shape: list[Any]) -> onnx.ModelProto:
    """A model from ``x`` of that shape to ``y``."""
    rank = len(shape)
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    name_nodes(model)
    return inferred(model)


def graphs_of(bundle: Bundle) -> dict[str, Graph]:
    samples = load_samples(bundle.file(bundle.manifest.golden))
    return {graph.role: graph for graph in split(load_model(bundle), _NO_METADATA, samples)}


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


class TestTransposedConvolutions:
    @pytest.mark.parametrize("channels", [1, 12])
    @pytest.mark.parametrize(
        ("kernel", "stride", "padding", "more"),
        [
            (4, 2, 1, 0),
            (3, 2, 1, 1),
            (3, 2, 1, 0),
            (2, 2, 0, 0),
            (5, 2, 2, 1),
            (5, 3, 1, 0),
            (3, 1, 1, 0),
            ((4, 3), (2, 3), (1, 0), (0, 0)),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "dynamic"])
    def test_plain_ones_give_the_same(
        self, kernel: Any, stride: Any, padding: Any, more: Any, channels: int, fixed: bool
    ) -> None:
        torch.manual_seed(0)
        layer = nn.ConvTranspose2d(32, channels, kernel, stride, padding, more)
        image = torch.randn(3, 32, 5, 6)
        want = torch.relu(layer(image)).detach().numpy()

        def pair(value: Any) -> list[int]:
            return list(value) if isinstance(value, tuple) else [value, value]

        convolution = helper.make_node(
            "ConvTranspose",
            ["x", "w", "b"],
            ["h"],
            strides=pair(stride),
            pads=pair(padding) * 2,
            output_padding=pair(more),
        )
        weights = {"w": layer.weight.detach().numpy(), "b": layer.bias.detach().numpy()}
        size: list[Any] = [5, 6] if fixed else ["height", "width"]
        model = model_of([convolution, helper.make_node("Relu", ["h"], ["y"])], weights, ["batch", 32, *size])
        result = without_transposed(model)
        onnx.checker.check_model(result, full_check=True)
        assert "ConvTranspose" not in kinds(result)
        np.testing.assert_allclose(run(result, (image.numpy(),))["y"], want, atol=2e-5)

    @pytest.mark.parametrize("given", [{"group": 3}, {"dilations": [2, 2]}, {"auto_pad": "SAME_UPPER"}], ids=str)
    def test_rare_ones_stay(self, given: dict[str, Any]) -> None:
        weights = {"w": np.ones((33, 11, 3, 3), np.float32)}
        convolution = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], **given)
        model = model_of([convolution], weights, ["batch", 33, 5, 5])
        assert kinds(without_transposed(model)) == ["ConvTranspose"]

    def test_of_uneven_kernels_no_weight_is_made_up(self) -> None:
        weights = {"w": np.random.default_rng(0).random((16, 16, 3, 3)).astype(np.float32)}
        convolution = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[1] * 4)
        result = without_transposed(model_of([convolution], weights, ["batch", 16, 5, 5]))
        kernels = [t for t in result.graph.initializer if len(t.dims) == 4]
        assert sum(int(np.prod(tensor.dims)) for tensor in kernels) == 16 * 16 * 9


class TestPooling:
    @pytest.mark.parametrize("negative", [False, True])
    def test_the_two_are_exchanged_only_where_that_is_the_same(self, negative: bool) -> None:
        random = np.random.default_rng(0)
        scale = random.uniform(0.5, 2, 3).astype(np.float32) * np.array([1, 1, -1 if negative else 1], np.float32)
        weights = {"s": scale, **{n: random.uniform(0.5, 1, 3).astype(np.float32) for n in "bmv"}}
        nodes = [
            helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["h"]),
            helper.make_node("MaxPool", ["h"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        ]
        model = model_of(nodes, weights, ["batch", 3, 4, 4])
        image = random.standard_normal((2, 3, 4, 4)).astype(np.float32)
        want = run(model, (image,))["y"]
        result = pool_before_normalising(model)
        assert (kinds(result)[0] == "MaxPool") is not negative
        np.testing.assert_allclose(run(result, (image,))["y"], want, atol=1e-6)


class TestRanges:
    def test_every_tensor_has_the_least_and_the_largest_that_it_took(self) -> None:
        model = model_of(
            [helper.make_node("Mul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
            {"w": np.float32([-2.0])},
            ["batch", 4],
        )
        inputs = np.linspace(-1, 3, 400, dtype=np.float32).reshape(100, 4)
        assert minmax(model, (inputs,)) == {"x": (-1.0, 3.0), "h": (-6.0, 2.0), "y": (0.0, 2.0)}

    def test_entropy_leaves_out_what_hardly_occurs(self) -> None:
        model = model_of([helper.make_node("Relu", ["x"], ["y"])], {}, ["batch", 1000])
        inputs = np.abs(np.random.default_rng(0).standard_normal((50, 1000))).astype(np.float32)
        inputs[0, :2] = 100.0, 0.0
        found = measure(model, (inputs,))
        assert found.minmax["y"] == (0.0, 100.0)
        assert found.entropy["y"][0] == 0.0
        assert 3.0 < found.entropy["y"][1] < 60.0

    def test_a_tensor_of_one_value_is_no_trouble(self) -> None:
        model = model_of([helper.make_node("Relu", ["x"], ["y"])], {}, ["batch", 3])
        assert measure(model, (np.zeros((5, 3), np.float32),)).entropy == {"x": (0.0, 0.0), "y": (0.0, 0.0)}


@pytest.fixture(scope="module")
def denoising(trained_bundles: dict[str, Bundle]) -> dict[str, Graph]:
    return graphs_of(trained_bundles["denoising"])


class TestInt8:
    def test_weights_are_of_seven_bits_by_output_channel(self, denoising: dict[str, Graph], tmp_path: Path) -> None:
        written = onnx_int8.write(denoising["decoder"], tmp_path / "d.onnx", {})
        assert written.quantisation is not None
        assert written.quantisation.reduced_range
        model = onnx.load(tmp_path / "d.onnx")
        weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        makers = {node.output[0]: node for node in model.graph.node}
        convolutions = [makers[n.input[1]] for n in model.graph.node if n.op_type == "Conv" and n.input[1] in makers]
        assert convolutions
        for node in convolutions:
            values, scale = weights[node.input[0]], weights[node.input[1]]
            assert values.dtype == np.int8
            assert np.abs(values.astype(int)).max() <= 64
            assert scale.shape == values.shape[:1]

    def test_it_is_quarter_the_size_and_its_images_are_near(
        self, trained_bundles: dict[str, Bundle], tmp_path: Path
    ) -> None:
        graph = graphs_of(trained_bundles["ae"])["decoder"]
        from aedeploy.export.formats import onnx as onnx_float

        onnx_float.write(graph, tmp_path / "f.onnx", {})
        written = onnx_int8.write(graph, tmp_path / "q.onnx", {})
        assert (tmp_path / "q.onnx").stat().st_size <= 0.31 * (tmp_path / "f.onnx").stat().st_size
        inputs = graph.real_inputs(graph.samples_NHWC)
        got = run(onnx.load(tmp_path / "q.onnx"), inputs)["image"]
        psnr = -10 * np.log10(np.mean((got - graph.reference(inputs)["image"]) ** 2))
        assert psnr >= 35.0
        assert written.quantisation is not None
        assert written.quantisation.psnr == pytest.approx(psnr, abs=0.01)

    def test_the_same_images_give_the_same_bytes_and_others_others(
        self, denoising: dict[str, Graph], tmp_path: Path
    ) -> None:
        graph = denoising["encoder"]
        images = graph.samples_NHWC[::-1][:20]
        records = []
        for name, options in (("a", {}), ("b", {}), ("c", {"calibration": images})):
            records.append(onnx_int8.write(graph, tmp_path / name, options).quantisation)
        a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
        assert a == b
        assert a != c
        assert records[0] is not None
        assert records[2] is not None
        assert records[0].calibration_digest != records[2].calibration_digest
        assert (records[0].calibration_images, records[2].calibration_images) == (len(graph.samples_NHWC), 20)

    def test_nothing_is_left_in_the_folder_for_temporary_files(
        self, denoising: dict[str, Graph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "temporary").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        onnx_int8.write(denoising["decoder"], tmp_path / "d.onnx", {})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["d.onnx", "temporary"]
        assert list((tmp_path / "temporary").iterdir()) == []

    def test_short_names_change_no_number(self, denoising: dict[str, Graph]) -> None:
        from aedeploy.export.onnx_graph import to_onnx

        graph = denoising["autoencoder"]
        model = to_onnx(graph)
        name_nodes(model)
        model = without_transposed(model)
        inputs = graph.real_inputs(graph.samples_NHWC[:8])
        plan = Plan(layers=frozenset(layers_of(model)[0]))
        whole = quantised(model, measure(model, inputs).minmax, plan)
        want, size = run(whole, inputs), whole.ByteSize()
        small = compacted(whole)
        onnx.checker.check_model(small, full_check=True)
        assert small.ByteSize() < 0.9 * size
        np.testing.assert_array_equal(run(small, inputs)["reconstruction"], want["reconstruction"])

    def test_a_matrix_product_keeps_its_zero_points(self, trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
        """onnxruntime 1.17 refuses it without: one for each scale."""
        onnx_int8.write(graphs_of(trained_bundles["mlp-32"])["encoder"], tmp_path / "e.onnx", {})
        model = onnx.load(tmp_path / "e.onnx")
        makers = {node.output[0]: node for node in model.graph.node}
        products = [node for node in model.graph.node if node.op_type == "Gemm"]
        assert products
        assert {len(makers[node.input[1]].input) for node in products} == {3}

    @pytest.mark.parametrize("recipe", ["vq-vae", "fsq", "k-sparse"])
    def test_what_decides_stays_in_float32(self, trained_bundles: dict[str, Bundle], recipe: str) -> None:
        from aedeploy.export.onnx_graph import to_onnx

        model = to_onnx(graphs_of(trained_bundles[recipe])["encoder"])
        name_nodes(model)
        deciding = Walk(model.graph).deciding()
        named = {node.op_type for node in model.graph.node if node.name in deciding}
        assert named & {"ArgMin", "Round", "TopK"}
        assert not deciding & {name for names in layers_of(model) for name in names}

    @pytest.mark.parametrize("recipe", ["vq-vae", "fsq"])
    def test_codes_are_decided_as_in_float32(
        self, trained_bundles: dict[str, Bundle], tmp_path: Path, recipe: str
    ) -> None:
        graph = graphs_of(trained_bundles[recipe])["encoder"]
        onnx_int8.write(graph, tmp_path / "q.onnx", {})
        inputs = graph.real_inputs(graph.samples_NHWC)
        got, want = run(onnx.load(tmp_path / "q.onnx"), inputs), graph.reference(inputs)
        assert np.mean(got["indices"] != want["indices"]) <= 0.1

    def test_where_more_is_asked_for_ranges_are_narrowed_and_layers_left_in_float32(
        self, denoising: dict[str, Graph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = denoising["decoder"]
        usual = onnx_int8.write(graph, tmp_path / "usual.onnx", {}).quantisation
        assert usual is not None
        assert usual.psnr is not None
        asked = usual.psnr + 6.0
        monkeypatch.setattr(search, "_AIM", {"decoder": asked})
        better = onnx_int8.write(graph, tmp_path / "better.onnx", {}).quantisation
        assert better is not None
        assert better.psnr is not None
        assert better.psnr >= asked
        assert set(usual.float_layers) < set(better.float_layers)

    def test_a_range_that_one_value_has_stretched_is_narrowed(self) -> None:
        random = np.random.default_rng(0)
        weight = random.standard_normal((8, 8, 3, 3)).astype(np.float32) / 8
        model = model_of(
            [helper.make_node("Conv", ["x", "w"], ["y"], name="layer", pads=[1] * 4)],
            {"w": weight},
            ["batch", 8, 6, 6],
        )
        inputs = random.uniform(-1, 1, (20, 8, 6, 6)).astype(np.float32)
        want = run(model, (inputs,))["y"]
        ranges = measure(model, (inputs,))
        stretched = dataclasses.replace(ranges, minmax={**ranges.minmax, "x": (-16.0, 1.0)})

        def measured(plan: Plan) -> search.Found:
            candidate = quantised(model, stretched.minmax, plan)
            error = float(np.mean((run(candidate, (inputs,))["y"] - want) ** 2))
            return search.Found(plan=plan, model=candidate, cost=Cost(psnr=-10 * np.log10(error), otherwise=0.0))

        start = measured(Plan(layers=frozenset({"layer"})))
        tensors = quantised_tensors(model, start.plan)
        assert tensors == ["x", "y"]
        found = search.narrowed(start, stretched, tensors, measured, lambda found: False)
        assert dict(found.plan.narrowed)["x"] == (-4.0, 1.0)
        assert found.cost.psnr > start.cost.psnr + 6

    def test_a_model_that_gives_nan_is_refused(self, denoising: dict[str, Graph], tmp_path: Path) -> None:
        class Broken(nn.Module):
            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return image / torch.relu(image - 2.0)

        wrong = dataclasses.replace(denoising["autoencoder"], module=Broken(), converted={})
        with pytest.raises(ExportError, match="NaN or infinity"):
            onnx_int8.write(wrong, tmp_path / "wrong.onnx", {})


class TestFloat16:
    def test_weights_are_halved_and_inputs_and_outputs_are_not(
        self, denoising: dict[str, Graph], tmp_path: Path
    ) -> None:
        written = onnx_fp16.write(denoising["autoencoder"], tmp_path / "h.onnx", {})
        model = onnx.load(tmp_path / "h.onnx")
        assert {t.data_type for t in model.graph.initializer if len(t.dims) == 4} == {TensorProto.FLOAT16}
        ends = (*model.graph.input, *model.graph.output)
        assert {value.type.tensor_type.elem_type for value in ends} == {TensorProto.FLOAT}
        assert written.quantisation is not None
        assert written.quantisation.precision == "float16"
        assert written.quantisation.psnr is not None
        assert written.quantisation.psnr > 56

    def test_what_would_overflow_stays_in_float32(self) -> None:
        model = model_of(
            [
                helper.make_node("Mul", ["x", "large"], ["h"]),
                helper.make_node("Mul", ["h", "small"], ["i"]),
                helper.make_node("Relu", ["i"], ["y"]),
            ],
            {"large": np.float32([4e4]), "small": np.float32([1e-4])},
            ["batch", 2],
        )
        inputs = np.array([[1.0, 2.0]], np.float32)
        kept = left_in_float32(model, minmax(model, (inputs,)))
        assert [node.op_type for node in model.graph.node if node.name in kept] == ["Mul", "Mul"]
        got = run(as_float16(model, kept), (inputs,))["y"]
        np.testing.assert_allclose(got, [[4.0, 8.0]], rtol=1e-3)
        # Were it not so, the second number would be none.
        with np.errstate(over="ignore"):
            assert np.isinf(np.float16(2.0) * np.float16(4e4))

    def test_extremes_are_black_white_a_checkerboard_and_noise(self, denoising: dict[str, Graph]) -> None:
        ((black, white, board, *noise),) = extremes(denoising["autoencoder"])
        assert black.max() == 0.0
        assert white.min() == 1.0
        assert board.mean() == pytest.approx(0.5)
        assert np.abs(np.diff(board[0], axis=1)).min() == 1.0
        assert len(noise) == 4

    @pytest.mark.parametrize("recipe", ["vq-vae", "k-sparse"])
    def test_what_decides_decides_as_in_float32(
        self, trained_bundles: dict[str, Bundle], tmp_path: Path, recipe: str
    ) -> None:
        graph = graphs_of(trained_bundles[recipe])["encoder"]
        written = onnx_fp16.write(graph, tmp_path / "h.onnx", {})
        assert written.quantisation is not None
        assert written.quantisation.float_layers
        inputs = graph.real_inputs(graph.samples_NHWC)
        got, want = run(onnx.load(tmp_path / "h.onnx"), inputs), graph.reference(inputs)
        if "indices" in want:
            assert np.mean(got["indices"] != want["indices"]) <= 0.01
        assert np.mean((got["latent"] != 0) != (want["latent"] != 0)) <= 0.01


def test_nodes_are_sorted_behind_what_they_take() -> None:
    nodes = [
        helper.make_node("Relu", ["b"], ["y"], name="third"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
        helper.make_node("Relu", ["x"], ["a"], name="first"),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", 1, [1])], [helper.make_tensor_value_info("y", 1, [1])]
    )
    sort_nodes(graph)
    assert [node.name for node in graph.node] == ["first", "second", "third"]


def test_the_manifest_records_how(trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    copied = open_bundle(shutil.copytree(trained_bundles["ae"].path, tmp_path / "copy"))
    bundle = export_bundle(copied, ["onnx-int8"], parity=False).bundle
    for role in ROLES:
        record = open_bundle(bundle.path).graph(role, "onnx-int8").quantisation
        assert record is not None
        assert record.precision == "int8"
        assert record.calibration in ("minmax", "entropy")
        assert record.calibration_images == len(load_samples(bundle.file(bundle.manifest.golden)))
        assert record.psnr is not None
        assert record.psnr >= 35.0
        # The first layer, of one channel, is quicker in float32.
        assert role == "decoder" or len(record.float_layers) >= 1
