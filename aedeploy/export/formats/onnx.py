"""ONNX: one file a graph, for onnxruntime in Python, C++, Node, browsers and phones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import torch

from aedeploy.export.formats import Written
from aedeploy.export.onnx_graph import RUNTIME_OF_OPSET, chosen_opset, opset_of, to_onnx
from aedeploy.export.split import Graph

SUFFIX = ".onnx"
OPTIONS = ("opset",)


def missing() -> str | None:
    return None


def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written:
    """Write one self-contained file: deterministic, without a path or a source line of this machine.

    Raises:
        ConfigError: the opset is not one that can be written.
        ExportError: the model cannot be exported, has random or training nodes, or nears 2 GiB.
    """
    opset = chosen_opset(options)
    path.write_bytes(to_onnx(graph, opset).SerializeToString(deterministic=True))
    written = onnx.load(path)
    return Written(
        producer={"torch": torch.__version__, "onnx": onnx.__version__},
        opset=opset_of(written),
        ir_version=written.ir_version,
        oldest_runtime=f"onnxruntime {RUNTIME_OF_OPSET[opset]}",
    )
