"""The first node that is off: of each fault that is put into a graph, the right one is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.manifest import Pixels
from aedeploy.bundle.store import record_file
from aedeploy.errors import ConfigError
from aedeploy.export import export_bundle
from aedeploy.export.bisect import FORMATS, Bisection, bisect

Edit = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="module")
def conv(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Convolutions and batch norm, in ONNX, of either kind of pixels."""
    path = tmp_path_factory.mktemp("bisect") / "deep-conv"
    bundle = open_bundle(shutil.copytree(trained_bundles["deep-conv"].path, path))
    for pixels in ("float32", "uint8"):
        bundle = export_bundle(bundle, ["onnx"], pixels=pixels, parity=False).bundle
    return bundle


@pytest.fixture(scope="module")
def rgb(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Colour images, standardised."""
    path = tmp_path_factory.mktemp("bisect") / "rgb"
    return export_bundle(open_bundle(shutil.copytree(trained_bundles["standardised-rgb"].path, path)), ["onnx"]).bundle


def look(original: Bundle, path: Path, role: str, edit: Edit, pixels: Pixels = "float32") -> Bisection:
    """Bisect a copy of a bundle in which one graph was changed."""
    bundle = open_bundle(shutil.copytree(original.path, path / "spoilt"))
    record = bundle.graph(role, "onnx", pixels)
    file = bundle.path / record.file.path
    model = onnx.load(file)
    edit(model)
    file.write_bytes(model.SerializeToString())
    bundle = bundle.with_graphs([record.model_copy(update={"file": record_file(bundle.path, record.file.path)})])
    return bisect(bundle, bundle.graph(role, "onnx", pixels))


def one_weight(name: str, by: float) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name.endswith(name))
        array = numpy_helper.to_array(tensor).copy()
        array.flat[array.size // 3] += by
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    return edit


def attribute(operator: str, number: int, name: str, values: list[int] | float) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        node = [node for node in model.graph.node if node.op_type == operator][number]
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute(name, values)])

    return edit


@pytest.mark.parametrize("pixels", ["float32", "uint8"])
@pytest.mark.parametrize("role", ["encoder", "decoder", "autoencoder"])
def test_in_a_sound_graph_there_is_nothing_to_find(conv: Bundle, role: str, pixels: Pixels) -> None:
    found = bisect(conv, conv.graph(role, "onnx", pixels))
    assert found
    assert (found.first, found.reason) == (None, None)
    assert found.compared >= 10


@pytest.mark.parametrize("pixels", ["float32", "uint8"])
def test_a_weight_that_is_off_is_found_in_the_middle(conv: Bundle, tmp_path: Path, pixels: Pixels) -> None:
    found = look(conv, tmp_path, "encoder", one_weight("trunk.4.weight", 1e-2), pixels)
    assert not found
    assert found.first is not None
    assert (found.first.operator, found.first.module) == ("Conv", "trunk.4")
    assert found.reason is not None
    assert "the weight 'trunk.4.weight' is not the model's own: 1 of its" in found.reason
    assert "by up to 1.0e-02" in found.reason
    at = found.around.index(found.first)
    assert [node.passed for node in found.around[:at]] == [True] * at
    assert at == 4


def test_a_weight_that_changes_no_value_is_found_as_well(conv: Bundle, tmp_path: Path) -> None:
    found = look(conv, tmp_path, "decoder", one_weight("decoder.0.weight", 1e-12), "float32")
    edited = look(conv, tmp_path / "more", "decoder", one_weight("decoder.0.weight", 1e-7))
    assert found or "decoder.0.weight" in (found.reason or "")  # 1e-12 may vanish in the weight itself
    assert not edited
    assert edited.first is None
    assert "No value leaves tolerance on what was tried, but the weight 'decoder.0.weight'" in (edited.reason or "")


def test_nan_in_one_channel_is_found_where_it_begins(conv: Bundle, tmp_path: Path) -> None:
    found = look(conv, tmp_path, "autoencoder", one_weight("decoder.3.weight", float("nan")))
    assert found.first is not None
    assert (found.first.operator, found.first.module) == ("ConvTranspose", "decoder.3")
    assert found.first.max_abs is None
    assert "some are NaN" in (found.reason or "")


@pytest.mark.parametrize(
    ("edit", "module", "says"),
    [
        (attribute("MaxPool", 1, "pads", [1, 1, 0, 0]), "trunk.7", "'pads' is [1, 1, 0, 0] where the model gives"),
        (attribute("Conv", 0, "dilations", [2, 2]), "trunk.0", "'dilations' is [2, 2]"),
        (attribute("Conv", 2, "strides", [2, 2]), "trunk.8", "'strides' is [2, 2]"),
    ],
)
def test_a_wrong_attribute_is_named(conv: Bundle, tmp_path: Path, edit: Edit, module: str, says: str) -> None:
    found = look(conv, tmp_path, "encoder", edit)
    assert found.first is not None
    assert found.first.module == module
    assert says in (found.reason or "")


def test_another_operator_is_named(conv: Bundle, tmp_path: Path) -> None:
    def edit(model: onnx.ModelProto) -> None:
        [node for node in model.graph.node if node.op_type == "Relu"][1].op_type = "Elu"

    found = look(conv, tmp_path, "encoder", edit)
    assert found.first is not None
    assert found.first.module == "trunk.5"
    assert "it is a Elu where the model gives a Relu" in (found.reason or "")


def test_swapped_channels_are_found_at_the_first_node_that_takes_them(rgb: Bundle, tmp_path: Path) -> None:
    def edit(model: onnx.ModelProto) -> None:
        order = numpy_helper.from_array(np.array([2, 1, 0], dtype=np.int64), "order")
        model.graph.initializer.append(order)
        for node in model.graph.node:
            node.input[:] = ["swapped" if name == "image" else name for name in node.input]
        model.graph.node.insert(0, onnx.helper.make_node("Gather", ["image", "order"], ["swapped"], axis=1))

    found = look(rgb, tmp_path, "encoder", edit)
    assert found.first is not None
    assert found.first.module == "normalisation"
    assert "it takes swapped, normalisation.mean where the model gives it image" in (found.reason or "")


def test_a_normalisation_that_was_dropped_is_found(rgb: Bundle, tmp_path: Path) -> None:
    def edit(model: onnx.ModelProto) -> None:
        dropped = [node for node in model.graph.node if node.op_type in ("Sub", "Div")]
        last = dropped[-1].output[0]
        for node in dropped:
            model.graph.node.remove(node)
        for node in model.graph.node:
            node.input[:] = ["image" if name == last else name for name in node.input]

    found = look(rgb, tmp_path, "encoder", edit)
    assert found.first is not None
    assert found.first.module == "trunk.0"
    assert "it takes image" in (found.reason or "")


def test_a_normalisation_of_other_numbers_is_found(rgb: Bundle, tmp_path: Path) -> None:
    found = look(rgb, tmp_path, "decoder", one_weight("normalisation.std", 0.1))
    assert found.first is not None
    # Its inverse is a method, which is no module of its own.
    assert (found.first.operator, found.first.module) == ("Mul", "")
    assert "'normalisation.std' is not the model's own" in (found.reason or "")


def test_a_node_that_cannot_run_is_named(rgb: Bundle, tmp_path: Path) -> None:
    """A batch that is baked in: the reshape before the first layer has a number where the batch should be."""

    def edit(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == "Reshape")
        model.graph.initializer.append(numpy_helper.from_array(np.array([3, 192], dtype=np.int64), "baked"))
        node.input[1] = "baked"

    found = look(rgb, tmp_path, "encoder", edit)
    assert found.first is not None
    assert (found.first.operator, found.first.module) == ("Reshape", "trunk.0")
    assert "cannot be computed for an input of [5, 3, 8, 8]" in (found.reason or "")


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "onnx"])
def test_a_quantised_graph_is_looked_into_by_the_names_that_survive(
    trained_bundles: dict[str, Bundle], tmp_path: Path, format: str
) -> None:
    bundle = open_bundle(shutil.copytree(trained_bundles["mlp-32"].path, tmp_path / "mlp-32"))
    bundle = export_bundle(bundle, [format], parity=False).bundle
    found = bisect(bundle, bundle.graph("autoencoder", format))
    assert found.compared >= 4
    assert found.first is None, found.reason
    record = bundle.graph("autoencoder", format)
    file = bundle.path / record.file.path
    model = onnx.load(file)
    layer = next(node for node in model.graph.node if node.name == "node_linear_2")
    assert layer.op_type == "Gemm"
    attribute("Gemm", [n.name for n in model.graph.node if n.op_type == "Gemm"].index(layer.name), "alpha", 3.0)(model)
    file.write_bytes(model.SerializeToString())
    bundle = bundle.with_graphs([record.model_copy(update={"file": record_file(bundle.path, record.file.path)})])
    wrong = bisect(bundle, bundle.graph("autoencoder", format))
    assert wrong.first is not None
    assert (wrong.first.node, wrong.first.module) == ("node_linear_2", "decoder.0")


def test_a_format_without_nodes_is_refused(trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    bundle = open_bundle(shutil.copytree(trained_bundles["conv"].path, tmp_path / "conv"))
    bundle = export_bundle(bundle, ["torchscript"], parity=False).bundle
    with pytest.raises(ConfigError, match="a file of torchscript shows no nodes: export the model as onnx"):
        bisect(bundle, bundle.graph("encoder", "torchscript"))
