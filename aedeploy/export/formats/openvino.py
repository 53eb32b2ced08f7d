"""OpenVINO IR: an .xml and a .bin a graph, for OpenVINO on Intel's and other CPUs, GPUs and NPUs."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from aedeploy.errors import ExportError
from aedeploy.export.formats import Written
from aedeploy.export.onnx_graph import to_onnx
from aedeploy.export.split import Graph
from aedeploy.runtime.backends.openvino import load_openvino

SUFFIX = ".xml"
OPTIONS: tuple[str, ...] = ()

#: Where the aedeploy.* metadata are in the file: <rt_info><aedeploy><role value="…"/>…
METADATA = "aedeploy"


def missing() -> str | None:
    return None if importlib.util.find_spec("openvino") else "openvino"


def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written:
    """Write the graph in float32, from its ONNX form, by OpenVINO's own reader of that; the weights beside it.

    Raises:
        ExportError: the model cannot be exported, or OpenVINO has no operator for something in it.
    """
    openvino = load_openvino()
    model = to_onnx(graph)
    del model.metadata_props[:]  # they would be written a second time, under "framework"
    _spell_out_softplus(model)
    try:
        converted = openvino.Core().read_model(model.SerializeToString(deterministic=True))
        for key, value in graph.metadata.items():
            converted.set_rt_info(value, [METADATA, key.removeprefix("aedeploy.")])
        # By default it would write half precision, and say nothing.
        openvino.save_model(converted, path, compress_to_fp16=False)
    except RuntimeError as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExportError(f"OpenVINO could not convert the {graph.role}: {reason}") from None
    weights = path.with_suffix(".bin")
    weights.touch()  # of a graph without weights none is written
    version = openvino.__version__.partition("-")[0]
    return Written(
        producer={"torch": torch.__version__, "onnx": onnx.__version__, "openvino": version},
        oldest_runtime=f"openvino {'.'.join(version.split('.')[:2])}",
        data=weights,
    )


def _spell_out_softplus(model: onnx.ModelProto) -> None:
    """log(1 + exp(x)) as max(x, 0) + log1p(u), of u = exp(−|x|), in products and sums.

    OpenVINO's own is 0 or less where x is far below 0, so that a logarithm of it is no number; and it would find its
    own again in any that has a logarithm. log1p(u) is 2 artanh(s) of s = u / (2 + u), at the most 1/3, and the
    series s + s³/3 + s⁵/5 + … of that is exact to the last bit of a float32 after seven terms.
    """
    nodes: list[onnx.NodeProto] = []
    for number, node in enumerate(model.graph.node):
        if node.op_type == "Softplus":
            nodes += _softplus(model.graph, node, f"softplus_{number}_")
        else:
            nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _softplus(graph: onnx.GraphProto, node: onnx.NodeProto, prefix: str) -> list[onnx.NodeProto]:
    nodes: list[onnx.NodeProto] = []

    def made(kind: str, *inputs: str) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"{prefix}{len(nodes)}"]))
        return str(nodes[-1].output[0])

    def number(value: float) -> str:
        name = f"{prefix}number_{len(graph.initializer)}"
        graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=np.float32), name))
        return name

    x = node.input[0]
    u = made("Exp", made("Neg", made("Abs", x)))
    s = made("Div", u, made("Add", u, number(2.0)))
    square = made("Mul", s, s)
    series = number(1 / 13)
    for odd in (11, 9, 7, 5, 3, 1):
        series = made("Add", made("Mul", series, square), number(1 / odd))
    log1p = made("Mul", made("Mul", s, number(2.0)), series)
    nodes.append(helper.make_node("Add", [made("Relu", x), log1p], list(node.output), name=node.name))
    return nodes
