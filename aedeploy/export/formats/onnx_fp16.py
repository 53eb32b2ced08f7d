"""ONNX in float16, float32 in and out: half the size; for GPUs and phones, which compute in it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

import numpy as np
import onnx
import torch

from aedeploy.bundle import Quantisation
from aedeploy.errors import ExportError
from aedeploy.export.formats import Written
from aedeploy.export.onnx_graph import check, chosen_opset, oldest_runtime, opset_of, to_onnx
from aedeploy.export.quantisation.float16 import as_float16, left_in_float32
from aedeploy.export.quantisation.judge import Cost, Judge, extremes, run
from aedeploy.export.quantisation.ranges import minmax
from aedeploy.export.quantisation.walk import Walk, inferred, name_nodes
from aedeploy.export.split import Graph

SUFFIX = ".onnx"
OPTIONS = ("opset",)

#: Nodes that do not compute in floating point, or only leave it.
_OF_NO_PRECISION = frozenset({"Cast", "Shape"})

#: dB, of images against float32. Rounding to float16 throughout leaves 60 and more.
_AIM = 56.0


def missing() -> str | None:
    return None


def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written:
    """Write one self-contained file. What decides, what nears the largest float16, and what costs the images too much
    stays in float32; which nodes do is measured on real images and on extremes.

    Raises:
        ConfigError: the opset is not one that can be written.
        ExportError: the model cannot be exported, or gives NaN or infinity on black, white or noise.
    """
    opset = chosen_opset(options)
    original = to_onnx(graph, opset)
    model = onnx.ModelProto()
    model.CopyFrom(original)
    name_nodes(model)
    model = inferred(model)
    real = graph.real_inputs(graph.samples_NHWC)
    inputs = tuple(map(np.concatenate, zip(real, extremes(graph), strict=True)))
    in_float32, result, cost = _chosen(model, left_in_float32(model, minmax(model, inputs)), Judge(graph))
    if any(not np.isfinite(values).all() for values in run(result, inputs).values()):
        raise ExportError(
            f"The {graph.role} gives NaN or infinity in float16 on black, white, checkerboard or noise images: "
            "export it in float32."
        )
    result.metadata_props.extend(entry for entry in original.metadata_props if entry not in result.metadata_props)
    check(graph, result)
    path.write_bytes(result.SerializeToString(deterministic=True))
    layers = [n.name for n in model.graph.node if n.name in in_float32 and n.op_type not in _OF_NO_PRECISION]
    return Written(
        producer={"torch": torch.__version__, "onnx": onnx.__version__},
        opset=opset_of(result),
        ir_version=result.ir_version,
        quantisation=Quantisation(
            precision="float16",
            float_layers=tuple(layers),
            psnr=round(cost.psnr, 2) if isfinite(cost.psnr) else None,
        ),
        oldest_runtime=oldest_runtime(opset),
    )


def _chosen(model: onnx.ModelProto, fixed: set[str], judge: Judge) -> tuple[set[str], onnx.ModelProto, Cost]:
    """Which nodes stay in float32, and the graph so: layers are added to ``fixed``, the one that costs most first,
    until images are good enough."""

    def measured(in_float32: set[str]) -> tuple[set[str], onnx.ModelProto, Cost]:
        converted = as_float16(model, in_float32)
        return in_float32, converted, judge.cost(converted)

    found = measured(fixed)
    if found[2].psnr >= _AIM:
        return found
    walk = Walk(model.graph)
    layers = [node.name for node in model.graph.node if walk.is_layer(node) and node.name not in fixed]
    gains = {name: measured(fixed | {name})[2].psnr for name in layers}
    for name in sorted(layers, key=lambda name: gains[name], reverse=True):
        found = measured(found[0] | {name})
        if found[2].psnr >= _AIM:
            break
    return found
