"""A graph in float16, but for what decides, what overflows, and what not every engine computes in it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from aedeploy.export.quantisation.walk import Walk, array, drop_unused_weights

#: What every engine that knows float16 computes in it, all inputs and outputs alike.
# fmt: off
_IN_FLOAT16 = frozenset({
    "Abs", "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "ConvTranspose", "DepthToSpace",
    "Div", "Elu", "Erf", "Exp", "Expand", "Flatten", "Gather", "Gelu", "Gemm", "GlobalAveragePool", "HardSigmoid",
    "HardSwish", "InstanceNormalization", "LayerNormalization", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Neg",
    "Pad", "PRelu", "Pow", "Reciprocal", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Sigmoid", "Slice",
    "Softmax", "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
})
# fmt: on

#: Inputs that stay as they are, by operator: factors and sizes.
_AS_THEY_ARE = {"Resize": (1, 2, 3)}

#: The largest finite number is 65504. What comes within this factor of it is left in float32: other images may give
#: larger numbers, and sums on the way to a small one may be larger than it.
_HEADROOM = 8.0
_LARGEST = float(np.finfo(np.float16).max)


def left_in_float32(model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]]) -> set[str]:
    """The names of the nodes that cannot be in float16.

    ``ranges``: the least and the largest value of each tensor, on real and on extreme images.
    """
    walk = Walk(model.graph)
    large = {name for name, (low, high) in ranges.items() if not max(-low, high) < _LARGEST / _HEADROOM}
    large |= {name for name, tensor in walk.weights.items() if _peak(tensor) >= _LARGEST}
    names = walk.deciding()
    for node in model.graph.node:
        inside = _taken_inside(node)
        if node.op_type not in _IN_FLOAT16 or inside or large & {*node.input, *node.output}:
            names.add(node.name)
        # What a subgraph takes from outside keeps its type.
        names.update(walk.maker[name].name for name in inside if name in walk.maker)
    return names


def as_float16(model: onnx.ModelProto, in_float32: set[str]) -> onnx.ModelProto:
    """A copy of a float32 graph, types of its tensors included, in float16 but for the nodes named.

    Inputs and outputs of the graph keep their types.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return _Conversion(result, in_float32).result()


class _Conversion:
    def __init__(self, model: onnx.ModelProto, in_float32: set[str]) -> None:
        self._model, self._in_float32 = model, in_float32
        values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
        self._floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._weights = {t.name: t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
        self._outputs = {value.name for value in model.graph.output}
        self._half: set[str] = set()  # tensors that are float16 now
        self._renamed: dict[str, str] = {}  # outputs of the graph, by what their nodes make in their place
        self._cast: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def result(self) -> onnx.ModelProto:
        graph = self._model.graph
        for node in graph.node:
            if node.name in self._in_float32:
                self._in_float(node)
            else:
                self._in_half(node)
        for name, half in self._renamed.items():
            self._nodes.append(
                helper.make_node("Cast", [half], [name], name=f"{half}_to_float32", to=TensorProto.FLOAT)
            )
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in self._nodes]
        del graph.node[:]
        graph.node.extend(copies)
        del graph.value_info[:]
        drop_unused_weights(graph)
        return self._model

    def _in_float(self, node: onnx.NodeProto) -> None:
        for at, name in enumerate(node.input):
            name = self._renamed.get(name, name)
            node.input[at] = self._as(name, TensorProto.FLOAT) if name in self._half else name
        self._nodes.append(node)

    def _in_half(self, node: onnx.NodeProto) -> None:
        for at, name in enumerate(node.input):
            name = self._renamed.get(name, name)
            if at in _AS_THEY_ARE.get(node.op_type, ()):
                continue
            if name in self._weights:
                name = self._half_weight(name)
            elif name in self._floats and name not in self._half:
                name = self._as(name, TensorProto.FLOAT16)
            node.input[at] = name
        for at, name in enumerate(node.output):
            if name in self._floats and name in self._outputs:
                self._renamed[name] = node.output[at] = f"{name}_float16"
            if name in self._floats:
                self._half.add(node.output[at])
        self._nodes.append(node)

    def _as(self, name: str, kind: int) -> str:
        """A tensor in another type, converted once."""
        if (name, kind) not in self._cast:
            converted = f"{name}_as_{'float32' if kind == TensorProto.FLOAT else 'float16'}"
            self._cast[name, kind] = converted
            self._nodes.append(helper.make_node("Cast", [name], [converted], name=converted, to=kind))
        return self._cast[name, kind]

    def _half_weight(self, name: str) -> str:
        key = (name, int(TensorProto.FLOAT16))
        if key not in self._cast:
            self._cast[key] = f"{name}_float16"
            values = array(self._weights[name]).astype(np.float16)
            self._model.graph.initializer.append(numpy_helper.from_array(values, self._cast[key]))
        return self._cast[key]


def _peak(tensor: onnx.TensorProto) -> float:
    return float(np.abs(array(tensor)).max(initial=0.0)) if tensor.data_type == TensorProto.FLOAT else 0.0


def _taken_inside(node: onnx.NodeProto) -> set[str]:
    """The names of tensors that the subgraphs of a node mention."""
    graphs = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return {name for graph in graphs for inner in graph.node for name in (*inner.input, *_taken_inside(inner))}
