"""The shape of an ONNX graph: who makes a tensor, who takes it, which nodes hold weights, which decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Layers: they multiply by weights, and what is between them follows from them.
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

#: A layer that takes fewer channels than this, as the first one takes those of the image, is quicker in float32.
LEAST_INPUTS = 8

#: What makes a choice of numbers: an error before it does not shrink, it flips.
_DECIDING = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "Ceil",
        "Equal",
        "Floor",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Not",
        "Round",
        "Sign",
        "TopK",
    }
)


class Walk:
    """A graph's nodes by the tensors that they make and take. Of the state when it was made."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.maker = {name: node for node in graph.node for name in node.output}
        self.takers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)
        self.outputs = {value.name for value in graph.output}

    def is_layer(self, node: onnx.NodeProto) -> bool:
        """Whether a node multiplies what comes in by weights of its own."""
        return node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in self.weights

    def sole_taker(self, tensor: str) -> onnx.NodeProto | None:
        """The one node that takes a tensor, where nothing else does."""
        takers = self.takers.get(tensor, [])
        return takers[0] if len(takers) == 1 and tensor not in self.outputs else None

    def deciding(self) -> set[str]:
        """The names of the nodes that decide, with all that is between them and the layers before and after."""
        found = {node.name for node in self.graph.node if node.op_type in _DECIDING}
        return found | self._spread(found, forwards=False) | self._spread(found, forwards=True)

    def chooses(self) -> bool:
        """Whether anything is decided on the way: rounding to bytes at the end is no choice."""
        return any(n.op_type in _DECIDING and not self._makes_bytes(n) for n in self.graph.node)

    def _makes_bytes(self, node: onnx.NodeProto) -> bool:
        after = self.sole_taker(node.output[0])
        return after is not None and after.op_type == "Cast" and attributes(after)["to"] == onnx.TensorProto.UINT8

    def _spread(self, names: Iterable[str], *, forwards: bool) -> set[str]:
        reached = set(names)
        edge = [node for node in self.graph.node if node.name in reached]
        while edge:
            node = edge.pop()
            if forwards:
                beside = [taker for name in node.output for taker in self.takers.get(name, [])]
            else:
                beside = [self.maker[name] for name in node.input if name in self.maker]
            for other in beside:
                if other.name not in reached and not self._ends(other):
                    reached.add(other.name)
                    edge.append(other)
        return reached

    def _ends(self, node: onnx.NodeProto) -> bool:
        # A product with the codebook is how distances are measured: part of the decision, not a layer before it.
        return node.op_type != "MatMul" and self.is_layer(node)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def array(tensor: onnx.TensorProto) -> np.ndarray:
    return np.array(numpy_helper.to_array(tensor))


def name_nodes(model: onnx.ModelProto) -> None:
    """Give every node a name of its own."""
    taken = {node.name for node in model.graph.node}
    for number, node in enumerate(model.graph.node):
        if not node.name:
            node.name = next(n for n in (f"{node.op_type}_{i}" for i in range(number, 2**31)) if n not in taken)
            taken.add(node.name)


def drop_unused_weights(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with the type of every tensor in it, shapes as far as they are known."""
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those whose outputs it takes; otherwise the order stays."""
    made = {name for node in graph.node for name in node.output}
    ready = {"", *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)}
    waiting = list(graph.node)
    ordered: list[onnx.NodeProto] = []
    while waiting:
        later = []
        for node in waiting:
            if all(name in ready or name not in made for name in node.input):
                ordered.append(node)
                ready.update(node.output)
            else:
                later.append(node)
        waiting = later
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)
