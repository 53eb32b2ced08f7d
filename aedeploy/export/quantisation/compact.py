"""A quantised graph without what no runtime needs: long names of tensors, zeros and attributes by default, duplicates.

A small model in int8 is otherwise names for the most part. Inputs, outputs and layers keep theirs.
"""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
from onnx import numpy_helper

from aedeploy.export.quantisation.walk import WEIGHTED, drop_unused_weights


def compacted(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, smaller; changed in place."""
    graph = model.graph
    del graph.value_info[:]
    _drop_zero_points(graph)
    _merge_equal_weights(graph)
    drop_unused_weights(graph)
    kept = {value.name for value in (*graph.input, *graph.output)}
    short: dict[str, str] = {"": ""}
    for node in graph.node:
        _drop_defaults(node)
        if node.op_type not in WEIGHTED:
            node.name = ""
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                if name not in kept:
                    names[at] = short.setdefault(name, f"t{len(short)}")
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)
        tensor.doc_string = ""
    return model


def _drop_zero_points(graph: onnx.GraphProto) -> None:
    """Of weights of convolutions and of biases, whose type says what it is of; a zero point of 0 is the default.

    Of a matrix product the older releases of onnxruntime ask for one for each scale.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    factors = {node.input[1] for node in graph.node if node.op_type in ("Gemm", "MatMul")}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) == 3 and node.input[0] in weights:
            zero_point = weights.get(node.input[2])
            zero = zero_point is not None and not numpy_helper.to_array(zero_point).any()
            if zero and node.output[0] not in factors:
                del node.input[2]


def _drop_defaults(node: onnx.NodeProto) -> None:
    """Of a convolution, the attributes that say what holds without them."""
    if node.op_type not in ("Conv", "ConvTranspose"):
        return
    usual = {
        "auto_pad": {b"NOTSET"},
        "group": {1},
        "dilations": {1},
        "strides": {1},
        "pads": {0},
        "output_padding": {0},
    }
    kept = []
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        values = set(value) if isinstance(value, list) else {value}
        if values != usual.get(attribute.name):
            kept.append(onnx.AttributeProto.FromString(attribute.SerializeToString()))
    del node.attribute[:]
    node.attribute.extend(kept)


def _merge_equal_weights(graph: onnx.GraphProto) -> None:
    """Scales and zero points repeat, where a tensor passes through as it is."""
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for tensor in graph.initializer:
        values = np.asarray(numpy_helper.to_array(tensor))
        content = hashlib.sha256(f"{tensor.data_type}{values.shape}".encode() + values.tobytes()).digest()
        same[tensor.name] = first.setdefault(content, tensor.name)
    for node in graph.node:
        for at, name in enumerate(node.input):
            node.input[at] = same.get(name, name)
