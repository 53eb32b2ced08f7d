"""Operators that ONNX does not have."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.fx import Node

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._nodes import is_random, name_of
from aedeploy.export.lint._subject import Subject

STAGE = Stage.READS

#: Those of nearly every model. The exporter's own table takes a second to come in, so it is only asked about others.
_USUAL = {
    "_assert_tensor_metadata", "_to_copy", "abs", "adaptive_avg_pool2d", "add", "addmm", "alias", "amax",
    "amin", "arange", "argmax", "argmin", "avg_pool2d", "batch_norm", "bmm", "cat", "chunk", "clamp", "clone",
    "contiguous", "conv2d", "conv_transpose2d", "cos", "detach", "div", "dropout", "elu", "embedding", "eq",
    "exp", "expand", "feature_dropout", "flatten", "floor", "full_like", "gather", "ge", "gelu", "getitem",
    "group_norm", "gt", "hardsigmoid", "hardswish", "hardtanh", "instance_norm", "layer_norm", "le",
    "leaky_relu", "linear", "log", "log_softmax", "lt", "matmul", "max_pool2d", "mean", "mm", "movedim", "mul",
    "ne", "neg", "numpy_T", "ones_like", "pad", "permute", "pixel_shuffle", "pixel_unshuffle", "pow", "relu",
    "reshape", "round", "rsqrt", "scatter", "select", "sigmoid", "silu", "sin", "slice", "softmax", "softplus",
    "split", "sqrt", "square", "squeeze", "stack", "sub", "sum", "sym_size", "tanh", "to", "topk", "transpose",
    "unflatten", "unsqueeze", "upsample_bilinear2d", "upsample_nearest2d", "view", "where", "zeros_like",
}  # fmt: skip


def check(subject: Subject) -> Iterator[Finding]:
    """Every operator that has no ONNX function, nor is made of others that have one; of formats made from ONNX."""
    if not subject.from_onnx:
        return
    for part in subject.parts:
        if part.program is None or all(name_of(node) in _USUAL for node in part.calls()):
            continue
        for node in _without_function(part.program):
            yield Finding(
                rule="operators",
                severity="error",
                where=str(part.place(node)),
                what=f"ONNX has no {node.target}",
                remedy="Write it with other operators, or export to a format that is not made from ONNX",
            )


def _without_function(program: torch.export.ExportedProgram) -> list[Node]:
    """The exporter's own judgement. It has no public name: where it has moved, the exporter itself will refuse."""
    try:
        from torch.onnx._internal.exporter import _dispatching, _fx_passes, _registration

        registry = _registration.ONNXRegistry.from_torchlib()
        decomposed = _fx_passes.decompose_with_registry(program, registry)
        # What nobody takes the result of is dropped by the exporter.
        calls = [node for node in decomposed.graph.nodes if node.op == "call_function" and node.users]
        lacking = [node for node in calls if _dispatching.dispatch(node, registry)[0] is None]
        # A rule of its own speaks of random ones.
        return [node for node in lacking if hasattr(node.target, "_schema") and not is_random(node)]
    except (ImportError, AttributeError, TypeError):
        return []
