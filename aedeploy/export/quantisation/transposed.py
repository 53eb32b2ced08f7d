"""Transposed convolutions as plain ones: the same sums, so that int8 kernels, of which there are none for them, apply.

A transposed convolution of stride s gives s² images, one for each place in an s×s block of the output; each is a plain
convolution of the input, by every s-th weight. All of them at once make s² times the channels, which are then laid
out as blocks (Shi et al. 2016: sub-pixel convolution), and cropped by the padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from aedeploy.export.quantisation.walk import (
    LEAST_INPUTS,
    Walk,
    array,
    attributes,
    drop_unused_weights,
    inferred,
)

#: Where the kernel is no multiple of the stride, some places have fewer weights. With fewer channels than this it is
#: quicker to fill them up with zeros than to compute each place by itself.
_LEAST_CHANNELS_APART = 8

#: One that adds up fewer products than this for a number is quicker as it is, in float32.
_LEAST_PRODUCTS = 32

_TO_THE_END = 2**62
_ACTIVATIONS = frozenset({"Relu", "Clip", "LeakyRelu", "Elu", "Sigmoid"})


def without_transposed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, every transposed convolution that can be said as plain ones replaced; names stay."""
    walk = Walk(model.graph)
    sizes = _fixed_sizes(model)
    nodes: list[onnx.NodeProto] = []
    merged: set[str] = set()
    for node in model.graph.node:
        if node.name in merged:
            continue
        layer = _transposed(walk, node)
        if layer is None:
            nodes.append(node)
            continue
        after = walk.sole_taker(node.output[0])
        if after is not None and after.op_type in _ACTIVATIONS:
            merged.add(after.name)
        else:
            after = None
        nodes += _Plain(model.graph, layer, after, sizes.get(node.input[0])).nodes()
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    drop_unused_weights(model.graph)
    return inferred(model)


def _fixed_sizes(model: onnx.ModelProto) -> dict[str, tuple[int, int]]:
    """The height and width of the tensors [batch, channels, height, width] of which they are fixed."""
    found = {}
    graph = inferred(model).graph
    for value in (*graph.input, *graph.value_info):
        dimensions = value.type.tensor_type.shape.dim
        if len(dimensions) == 4 and all(dimension.HasField("dim_value") for dimension in dimensions[2:]):
            found[value.name] = (dimensions[2].dim_value, dimensions[3].dim_value)
    return found


@dataclass(frozen=True, kw_only=True)
class _Transposed:
    node: onnx.NodeProto
    weight: np.ndarray  # [in, out, height, width]
    bias: np.ndarray
    stride: tuple[int, int]
    cropped: tuple[int, int]  # from the top and the left
    added: tuple[int, int]  # output rows and columns beyond what the bottom and right padding leaves

    @property
    def taps(self) -> tuple[int, int]:
        """How many input rows and columns one output row and column is made of, at the most."""
        height, width = self.weight.shape[2:]
        return -(-height // self.stride[0]), -(-width // self.stride[1])

    @property
    def beyond(self) -> tuple[int, int]:
        """Rows and columns at the bottom and the right of all blocks laid out that are not wanted.

        Laid out are stride × (size + taps − 1) of them; the last one wanted is (size − 1) × stride + kernel + added.
        """
        rows, columns = (
            stride * taps - kernel - added
            for stride, taps, kernel, added in zip(
                self.stride, self.taps, self.weight.shape[2:], self.added, strict=True
            )
        )
        return rows, columns


def _transposed(walk: Walk, node: onnx.NodeProto) -> _Transposed | None:
    """What a node does, if it is a transposed convolution of two dimensions without groups, gaps or other rarities."""
    if node.op_type != "ConvTranspose" or not walk.is_layer(node):
        return None
    given = attributes(node)
    weight = array(walk.weights[node.input[1]])
    biased = len(node.input) > 2
    usual = (
        weight.ndim == 4
        and weight.shape[0] >= LEAST_INPUTS
        and given.get("group", 1) == 1
        and set(given.get("dilations", [1])) == {1}
        and given.get("auto_pad", b"NOTSET") == b"NOTSET"
        and "output_shape" not in given
        and (not biased or node.input[2] in walk.weights)
    )
    if not usual:
        return None
    stride, pads = given.get("strides", [1, 1]), given.get("pads", [0] * 4)
    more = given.get("output_padding", [0, 0])
    layer = _Transposed(
        node=node,
        weight=weight,
        bias=array(walk.weights[node.input[2]]) if biased else np.zeros(weight.shape[1], weight.dtype),
        stride=(stride[0], stride[1]),
        cropped=(pads[0], pads[1]),
        added=(more[0] - pads[2], more[1] - pads[3]),
    )
    # With fewer weights than places, or more rows asked for than there are, zeros would have to come from nowhere.
    covered = all(k >= s for k, s in zip(weight.shape[2:], layer.stride, strict=True))
    worth = weight.shape[0] * layer.taps[0] * layer.taps[1] >= _LEAST_PRODUCTS
    return layer if covered and worth and min(layer.beyond) >= 0 else None


class _Plain:
    """The nodes that stand for one transposed convolution, and for the activation after it, if there is one."""

    def __init__(
        self,
        graph: onnx.GraphProto,
        layer: _Transposed,
        after: onnx.NodeProto | None,
        size: tuple[int, int] | None,  # of its input, where it is fixed
    ) -> None:
        self._graph, self._layer, self._after, self._size = graph, layer, after, size
        self._nodes: list[onnx.NodeProto] = []
        rows, columns = layer.stride
        before, channels, height, width = layer.weight.shape
        filled = np.zeros((before, channels, layer.taps[0] * rows, layer.taps[1] * columns), layer.weight.dtype)
        filled[:, :, :height, :width] = layer.weight
        # [in, out, tap, place in the block, tap, place in the block]; the tap farthest back comes first.
        self._kernel = filled.reshape(before, channels, layer.taps[0], rows, layer.taps[1], columns)[
            :, :, ::-1, :, ::-1
        ]

    def nodes(self) -> list[onnx.NodeProto]:
        layer = self._layer
        rows, columns = layer.stride
        channels = layer.weight.shape[1]
        uneven = layer.weight.shape[2] % rows or layer.weight.shape[3] % columns
        made = self._apart() if uneven and channels >= _LEAST_CHANNELS_APART else self._at_once()
        # Blocks are laid out with channels last, where whole runs of them move at once.
        last = self._add("Transpose", [made], perm=[0, 2, 3, 1])
        apart = self._add("Reshape", [last, self._int64([0, 0, 0, rows, columns * channels])])
        turned = self._add("Transpose", [apart], perm=[0, 1, 3, 2, 4])
        laid = self._add("Reshape", [turned, self._shape()])
        ends = [-count if count else _TO_THE_END for count in layer.beyond]
        cropped = self._add("Slice", [laid, self._int64(layer.cropped), self._int64(ends), self._int64([1, 2])])
        final = (self._after or layer.node).output[0]
        self._add("Transpose", [cropped], final, perm=[0, 3, 1, 2])
        return self._nodes

    def _at_once(self) -> str:
        """[batch, rows × columns × channels, height + taps − 1, width + taps − 1] by one convolution."""
        (rows, columns), (high, wide) = self._layer.stride, self._layer.taps
        before, channels = self._layer.weight.shape[:2]
        weight = self._kernel.transpose(3, 5, 1, 0, 2, 4).reshape(rows * columns * channels, before, high, wide)
        bias = np.tile(self._layer.bias, rows * columns)
        return self._convolution(self._layer.node.name, weight, bias, (high - 1, wide - 1))

    def _apart(self) -> str:
        """The same by one convolution for each place in the block, none of them with a weight too many."""
        (rows, columns), (high, wide) = self._layer.stride, self._layer.taps
        height, width = self._layer.weight.shape[2:]
        made = []
        for row in range(rows):
            for column in range(columns):
                up, left = -(-(height - row) // rows), -(-(width - column) // columns)
                weight = self._kernel[:, :, high - up :, row, wide - left :, column].transpose(1, 0, 2, 3)
                name = f"{self._layer.node.name}_{row}{column}"
                made.append(self._convolution(name, weight, self._layer.bias, (up - 1, left - 1)))
        return self._add("Concat", made, axis=1)

    def _convolution(self, name: str, weight: np.ndarray, bias: np.ndarray, before: tuple[int, int]) -> str:
        behind = [taps - 1 for taps in self._layer.taps]
        made = self._add(
            "Conv",
            [self._layer.node.input[0], self._weight(weight), self._weight(bias)],
            name=name,
            kernel_shape=list(weight.shape[2:]),
            pads=[*before, *behind],
            strides=[1, 1],
        )
        if self._after is None:
            return made
        # It acts on each number alone, so it may as well come first, where an int8 convolution has it for nothing.
        given = {a.name: helper.get_attribute_value(a) for a in self._after.attribute}
        return self._add(self._after.op_type, [made, *self._after.input[1:]], **given)

    def _shape(self) -> str:
        """Of all blocks laid out: [batch, rows × (height + taps − 1), columns × (width + taps − 1), channels]."""
        channels = self._layer.weight.shape[1]
        if self._size is not None:
            known = zip(self._layer.stride, self._size, self._layer.taps, strict=True)
            return self._int64([0, *(stride * (size + taps - 1) for stride, size, taps in known), channels])
        size = self._add("Shape", [self._layer.node.input[0]], start=2, end=4)
        places = self._add("Add", [size, self._int64([taps - 1 for taps in self._layer.taps])])
        sides = self._add("Mul", [places, self._int64(self._layer.stride)])
        return self._add("Concat", [self._int64([0]), sides, self._int64([channels])], axis=0)

    def _add(self, kind: str, inputs: list[str], output: str | None = None, name: str = "", **given: Any) -> str:
        name = name or f"{self._layer.node.name}_{kind}_{len(self._nodes)}"
        output = output or f"{name}_out"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=name, **given))
        return output

    def _weight(self, values: np.ndarray) -> str:
        name = f"{self._layer.node.name}_weight_{len(self._graph.initializer)}"
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _int64(self, values: Any) -> str:
        return self._weight(np.array(values, dtype=np.int64))
