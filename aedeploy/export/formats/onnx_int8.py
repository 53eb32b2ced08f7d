"""ONNX in int8: a quarter of the size, quicker on CPUs with int8 instructions; measured on real images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from aedeploy.bundle import Quantisation
from aedeploy.errors import ExportError
from aedeploy.export.formats import Written
from aedeploy.export.onnx_graph import check, chosen_opset, oldest_runtime, opset_of, strip, to_onnx
from aedeploy.export.quantisation.compact import compacted
from aedeploy.export.quantisation.int8 import layers_of
from aedeploy.export.quantisation.judge import Judge
from aedeploy.export.quantisation.pooling import pool_before_normalising
from aedeploy.export.quantisation.ranges import measure
from aedeploy.export.quantisation.search import Found, best_plan
from aedeploy.export.quantisation.transposed import without_transposed
from aedeploy.export.quantisation.walk import name_nodes
from aedeploy.export.split import Graph

SUFFIX = ".onnx"
OPTIONS = ("opset", "calibration")


def missing() -> str | None:
    return None


def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written:
    """Write one self-contained file whose layers compute in int8, but for those that measurement left in float32.

    Static, weights by output channel; inputs and outputs are those of the float32 graph. The same weights and the same
    images give the same bytes.

    Raises:
        ConfigError: the opset is not one that can be written.
        ExportError: the model cannot be exported, or gives NaN on real images.
    """
    opset = chosen_opset(options)
    model = to_onnx(graph, opset)
    images = np.asarray(options.get("calibration", graph.samples_NHWC))
    inputs = graph.real_inputs(images)
    if any(not np.isfinite(array).all() for array in graph.reference(inputs).values()):
        raise ExportError(f"The {graph.role} gives NaN or infinity on real images, so no range holds its values.")
    fit = onnx.ModelProto()
    fit.CopyFrom(model)
    name_nodes(fit)
    fit = pool_before_normalising(without_transposed(fit))
    found = best_plan(fit, measure(fit, inputs), Judge(graph), graph)
    result = _finished(found.model, model)
    check(graph, result)
    path.write_bytes(result.SerializeToString(deterministic=True))
    return Written(
        producer={"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        opset=opset_of(result),
        ir_version=result.ir_version,
        quantisation=_record(fit, found, images),
        oldest_runtime=oldest_runtime(opset),
    )


def _finished(quantised: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """Small, and with what the float32 graph says of itself."""
    strip(quantised)
    result = compacted(quantised)
    result.ir_version = original.ir_version
    result.producer_name, result.producer_version = original.producer_name, original.producer_version
    result.metadata_props.extend(original.metadata_props)
    return result


def _record(model: onnx.ModelProto, found: Found, images: np.ndarray) -> Quantisation:
    computing, stored = layers_of(model)
    return Quantisation(
        precision="int8",
        float_layers=tuple(name for name in (*computing, *stored) if name not in found.plan.layers),
        psnr=round(found.cost.psnr, 2) if isfinite(found.cost.psnr) else None,
        calibration=found.plan.method,
        calibration_images=len(images),
        calibration_digest=hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest(),
        reduced_range=found.plan.reduced_range,
    )
