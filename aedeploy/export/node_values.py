"""Every value inside a graph, of an ONNX model by onnxruntime, of an exported program by PyTorch; how they differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch

from aedeploy.errors import BackendError

#: By name.
Values = dict[str, np.ndarray]


class Recorder(torch.fx.Interpreter):
    """Runs an exported program and keeps every tensor by its name."""

    def __init__(self, exported: torch.export.ExportedProgram, given: Sequence[torch.Tensor]) -> None:
        super().__init__(exported.graph_module)
        self._exported, self._given = exported, given
        self._kept: Values = {}

    def values(self) -> Values:
        exported = self._exported
        tensors = {**exported.state_dict, **exported.constants}
        given = iter(self._given)
        arguments = [
            next(given) if spec.target is None else tensors[spec.target]
            for spec in exported.graph_signature.input_specs
        ]
        self.run(*arguments)
        return self._kept

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if n.op != "placeholder" and isinstance(result, torch.Tensor):
            self._kept[n.name] = result.detach().numpy().copy()
        return result


def own_name(name: str) -> str:
    """A weight's name in the model, whatever wrappers its graph was exported in."""
    return re.sub(r"^(inner\.|model\.)+", "", name)


def run_onnx(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> Values:
    """Every value of a graph, computed node by node: what an engine fuses has no values in between."""
    import onnxruntime

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    already = {value.name for value in copied.graph.output}
    for node in copied.graph.node:
        for value in node.output:
            if value and value not in already:
                copied.graph.output.append(onnx.helper.make_empty_tensor_value_info(value))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(copied.SerializeToString(), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        results = session.run(names, {name: np.ascontiguousarray(array) for name, array in inputs.items()})
    except Exception as error:  # onnxruntime's exceptions have no common base but Exception
        raise BackendError(str(error)) from None
    return {name: array for name, array in zip(names, results, strict=True) if isinstance(array, np.ndarray)}


def error_of(got: np.ndarray, wanted: np.ndarray) -> tuple[float | None, float | None]:
    """(largest error, relative L2); None where they cannot be compared, or are not finite."""
    if got.shape != wanted.shape or not np.isfinite(got.astype(np.float64)).all():
        return None, None
    difference = got.astype(np.float64) - wanted.astype(np.float64)
    norm = float(np.linalg.norm(wanted.astype(np.float64)))
    error = float(np.linalg.norm(difference))
    return float(np.abs(difference).max(initial=0.0)), error / norm if norm else error


def other_values(got: np.ndarray, wanted: np.ndarray) -> str | None:
    """How two constants differ, in words; None: not at all."""
    if got.shape != wanted.shape:
        return f"its shape is {list(got.shape)} in place of {list(wanted.shape)}"
    other = ~((got == wanted) | (np.isnan(got) & np.isnan(wanted))) if got.dtype.kind == "f" else got != wanted
    count = int(np.count_nonzero(other))
    if not count:
        return None
    largest = np.abs(got[other].astype(np.float64) - wanted[other].astype(np.float64)).max()
    by = f", by up to {largest:.1e}" if np.isfinite(largest) else ", and some are NaN or infinite"
    return f"{count:,} of its {got.size:,} values differ{by}"


def other_node(node: onnx.NodeProto, made: onnx.NodeProto) -> Iterator[str]:
    """In what a node differs from the one that the model gives."""
    if node.op_type != made.op_type:
        yield f"it is a {node.op_type} where the model gives a {made.op_type}"
        return
    given, own_inputs = ([own_name(name) for name in n.input] for n in (node, made))
    if given != own_inputs:
        yield f"it takes {', '.join(given)} where the model gives it {', '.join(own_inputs)}"
    attributes, own = ({a.name: onnx.helper.get_attribute_value(a) for a in n.attribute} for n in (node, made))
    for name in sorted(attributes.keys() | own.keys()):
        if attributes.get(name) != own.get(name):
            yield f"its attribute {name!r} is {attributes.get(name)} where the model gives {own.get(name)}"
