"""onnxruntime's own format: opened without protobuf, by the reduced builds for phones too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime
import torch

from aedeploy.errors import ExportError
from aedeploy.export.formats import Written
from aedeploy.export.onnx_graph import chosen_opset, oldest_runtime, opset_of, to_onnx
from aedeploy.export.split import Graph

SUFFIX = ".ort"
OPTIONS = ("opset",)


def missing() -> str | None:
    return None


def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written:
    """Write the ONNX graph after the optimisations that hold on any machine: no layout of this one's CPU.

    Raises:
        ConfigError: the opset is not one that can be written.
        ExportError: the model cannot be exported, or onnxruntime cannot open it.
    """
    model = to_onnx(graph, chosen_opset(options))
    settings = onnxruntime.SessionOptions()
    # Above "basic" come fusions into operators, and layouts, that not every build of onnxruntime has.
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    settings.log_severity_level = 3
    settings.add_session_config_entry("session.save_model_format", "ORT")
    settings.optimized_model_filepath = str(path)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base but Exception
        raise ExportError(f"onnxruntime could not write the {graph.role}: {error}") from None
    return Written(
        producer={"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        opset=opset_of(model),
        ir_version=model.ir_version,
        oldest_runtime=oldest_runtime(opset_of(model)),
    )
