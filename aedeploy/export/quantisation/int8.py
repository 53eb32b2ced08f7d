"""A graph in int8: layers between QuantizeLinear and DequantizeLinear, as any ONNX runtime understands them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from aedeploy.export.quantisation.ranges import Method
from aedeploy.export.quantisation.walk import LEAST_INPUTS, Walk, attributes, sort_nodes

#: With fewer weights for an output than this, a scale for each of them would weigh more than it helps.
_LEAST_FOR_A_SCALE = 64

#: Fewer weights than this are not worth the node that stretches them again.
_LEAST_STORED = 2048

#: Of all the weights of a model, what a convolution may have without being stored in int8.
_SMALL_PART = 1 / 16

#: What an int8 tensor goes through as it is, or with another of its kind.
_CARRYING = frozenset({"Relu", "Clip", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice"})
_JOINING = frozenset({"Add", "Concat"})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which layers compute in int8, and how; of the others, which keep their weights in float32 too."""

    layers: frozenset[str]  # names of nodes: these compute in int8
    float_weights: frozenset[str] = field(default=frozenset())  # the weights of these are not stored in int8
    method: Method = "minmax"
    narrowed: tuple[tuple[str, tuple[float, float]], ...] = ()  # tensors whose ranges are others than the method's
    reduced_range: bool = True


def layers_of(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """The names of the layers that may compute in int8, and of those whose weights alone may be int8.

    No layer that takes part in a decision is among them.
    """
    walk = Walk(model.graph)
    deciding = walk.deciding()
    computing, stored = [], []
    for node in model.graph.node:
        if not walk.is_layer(node) or node.name in deciding:
            continue
        weight = walk.weights[node.input[1]]
        if node.op_type == "ConvTranspose" or _inputs(node, weight) < LEAST_INPUTS:
            stored.append(node.name)
        else:
            computing.append(node.name)
    return computing, stored


def quantised(model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]], plan: Plan) -> onnx.ModelProto:
    """A copy of a float32 graph, types of its tensors included, with the layers of a plan in int8."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _store_weights(result, plan)
    carriers = _carriers(Walk(result.graph), plan.layers)
    if plan.layers:
        chosen = {**ranges, **dict(plan.narrowed)}
        measured = {
            name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in chosen.items()
        }
        with _silenced():
            quantizer = QDQQuantizer(
                result,
                True,
                plan.reduced_range,
                QuantType.QInt8,
                QuantType.QUInt8,
                TensorsData(CalibrationMethod.MinMax, measured),
                [*plan.layers, *carriers],
                [],
                list({node.op_type for node in result.graph.node}),
                {"TensorQuantOverrides": _one_scale(Walk(result.graph), plan)},
            )
            result = quantizer.quantize_model()
        sort_nodes(result.graph)
    return result


def quantised_tensors(model: onnx.ModelProto, plan: Plan) -> list[str]:
    """The tensors that layers of a plan take and give: what has a range."""
    walk = Walk(model.graph)
    names: dict[str, None] = {}
    for node in model.graph.node:
        if node.name in plan.layers:
            names |= dict.fromkeys((node.input[0], *_followed(walk, node.output[0])))
    return list(names)


def _followed(walk: Walk, tensor: str) -> tuple[str, ...]:
    """A tensor, and what an activation makes of it: where nothing else takes it, that alone is quantised."""
    after = walk.sole_taker(tensor)
    return (after.output[0],) if after is not None and after.op_type in ("Relu", "Clip") else (tensor,)


def _outputs(node: onnx.NodeProto, weight: onnx.TensorProto) -> int:
    """How many numbers, or channels, a layer makes."""
    return int(weight.dims[_axis(node)])


def _inputs(node: onnx.NodeProto, weight: onnx.TensorProto) -> int:
    """How many numbers, or channels, a layer takes."""
    return int(weight.dims[1 - _axis(node)])


def _axis(node: onnx.NodeProto) -> int:
    """The dimension of a layer's weights that counts its outputs."""
    if node.op_type == "Gemm":
        return 0 if attributes(node).get("transB", 0) else 1
    return {"Conv": 0, "ConvTranspose": 1, "MatMul": 1}[node.op_type]


def _carriers(walk: Walk, layers: frozenset[str]) -> list[str]:
    """The nodes between int8 layers that int8 tensors go through: two that are joined are int8 both."""
    carried: set[str] = set()
    names = []
    for node in walk.graph.node:
        if node.name in layers:
            carried.add(node.output[0])
            continue
        carries = node.op_type in _CARRYING and node.input[0] in carried
        joins = node.op_type in _JOINING and set(node.input) <= carried
        if carries or joins:
            carried.add(node.output[0])
            names.append(node.name)
    return names


def _one_scale(walk: Walk, plan: Plan) -> dict[str, list[dict[str, object]]]:
    """The weights that have one scale in all, as the quantizer wants to be told."""
    overrides: dict[str, list[dict[str, object]]] = {}
    for node in walk.graph.node:
        if node.name in plan.layers and node.op_type in ("Gemm", "MatMul"):
            weight = walk.weights[node.input[1]]
            if int(np.prod(weight.dims)) // _outputs(node, weight) < _LEAST_FOR_A_SCALE:
                scale = {"quant_type": QuantType.QInt8, "symmetric": True, "reduce_range": plan.reduced_range}
                overrides[weight.name] = [scale]
    return overrides


def _store_weights(model: onnx.ModelProto, plan: Plan) -> None:
    """Of layers that compute in float32, store the weights in int8, a scale for each output.

    Not of convolutions that are a small part of the model: onnxruntime computes them far slower when their weights are
    not there as they are used.
    """
    walk = Walk(model.graph)
    computing, stored = layers_of(model)
    wanted = {*computing, *stored} - plan.layers - plan.float_weights
    sizes = {n.name: int(np.prod(walk.weights[n.input[1]].dims)) for n in model.graph.node if walk.is_layer(n)}
    most = _SMALL_PART * sum(sizes.values())
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.name in wanted and (node.op_type != "Conv" or sizes[node.name] > most):
            weight = walk.weights[node.input[1]]
            values = numpy_helper.to_array(weight)
            axis = _axis(node)
            others = tuple(i for i in range(values.ndim) if i != axis)
            if values.size >= _LEAST_STORED:
                scale = np.maximum(np.abs(values).max(axis=others), 1e-12).astype(np.float32) / np.float32(127)
                spread = scale.reshape([-1 if i == axis else 1 for i in range(values.ndim)])
                steps = np.clip(np.rint(values / spread), -127, 127).astype(np.int8)
                name = node.input[1]
                model.graph.initializer.append(numpy_helper.from_array(steps, f"{name}_int8"))
                model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
                stretched = helper.make_node(
                    "DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [f"{name}_of_int8"], axis=axis
                )
                nodes.append(stretched)
                node.input[1] = f"{name}_of_int8"
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """The quantizer speaks of what it leaves in float32, which is what it was told to."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
