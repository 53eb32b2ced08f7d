"""Batch normalisation after max pooling in place of before it: the same numbers, of a quarter of the places.

onnxruntime moves the quantisation of a pooled tensor to before the pooling, and pools int8 many times slower than
float32. With a normalisation between them it does not.
"""

from __future__ import annotations

import onnx

from aedeploy.export.quantisation.walk import Walk, array, inferred


def pool_before_normalising(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, with the two exchanged wherever no channel is normalised by a negative factor."""
    graph = model.graph
    walk = Walk(graph)
    for node in graph.node:
        pool = walk.sole_taker(node.output[0]) if node.op_type == "BatchNormalization" else None
        if pool is None or pool.op_type != "MaxPool" or len(pool.output) != 1 or node.input[1] not in walk.weights:
            continue
        # The largest stays the largest only if a larger number stays larger.
        if (array(walk.weights[node.input[1]]) > 0).all():
            before, between, after = node.input[0], node.output[0], pool.output[0]
            pool.input[0], pool.output[0] = before, between
            node.input[0], node.output[0] = between, after
            _exchange(graph, node, pool)
    return inferred(model)


def _exchange(graph: onnx.GraphProto, one: onnx.NodeProto, other: onnx.NodeProto) -> None:
    """Let two nodes change places in the order of a graph."""
    kept = onnx.NodeProto()
    kept.CopyFrom(one)
    one.CopyFrom(other)
    other.CopyFrom(kept)
