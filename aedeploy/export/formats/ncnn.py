"""ncnn: a .param and a .bin a graph, for phones and small boards; its engine is C++ that needs nothing else."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aedeploy.bundle import TensorSpec
from aedeploy.errors import ExportError
from aedeploy.export.formats import Written, _pnnx
from aedeploy.export.formats._ncnn_layers import Layers
from aedeploy.export.formats._ncnn_operators import NcnnOperators, constants_as_floats
from aedeploy.export.formats.torchscript import saved, trace
from aedeploy.export.split import Graph
from aedeploy.runtime.backends.ncnn import METADATA, load_ncnn

SUFFIX = ".param"
OPTIONS: tuple[str, ...] = ()

#: Earlier ones cannot read the Reshape layers of a codebook whose latent may have any size.
OLDEST_RUNTIME = "ncnn 1.0.20250503"

_NUMBERS = count()


def missing() -> str | None:
    return next((package for package in ("pnnx", "ncnn") if importlib.util.find_spec(package) is None), None)


def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written:
    """Write the graph in float32, from its TorchScript form, by pnnx; the weights beside it.

    ncnn has no batch: blobs are called and shaped as the contract says, without their first dimension. It has no
    integers either: bytes and indices are floats.

    Raises:
        ExportError: the model cannot be traced, pnnx fails, or ncnn has no layer for something in it.
    """
    module = copy.deepcopy(graph.module)
    constants_as_floats(module)
    example = tuple(tensor[:1].float() for tensor in graph.example)
    with NcnnOperators():
        traced = trace(_function(module), example, graph.role)
    shapes = [_shapes(*of, graph.size_multiple) for of in zip(example, graph.inputs, strict=True)]
    converted = _pnnx.convert(saved(traced, {}), shapes, graph.role)
    layers = Layers(converted.structure)
    _check(layers, graph.role)
    layers.bind_inputs(graph.inputs, converted.batched)
    layers.bind_outputs(graph.outputs, converted.batched)
    metadata = json.dumps(dict(graph.metadata), sort_keys=True)
    path.write_bytes(f"{layers}{METADATA}{metadata}\n".encode())
    weights = path.with_suffix(".bin")
    weights.write_bytes(converted.weights)
    return Written(
        producer={"torch": torch.__version__, "pnnx": _pnnx.version(), "ncnn": load_ncnn().__version__},
        oldest_runtime=OLDEST_RUNTIME,
        data=weights,
    )


def _function(module: nn.Module) -> Callable[[Tensor], Any]:
    """Of a module the tracer keeps parts of which nothing is taken, such as an autoencoder's head of log-variances, and
    pnnx dies of them; of a function it does not.
    """

    def graph(*given: Tensor) -> Any:
        return module(*given)

    # A name that was not traced before. Otherwise PyTorch numbers it, and in TorchScript files that are written later
    # the numbers of classes would be others.
    graph.__name__ = f"graph_{next(_NUMBERS)}"
    return graph


def _shapes(example: Tensor, spec: TensorSpec, multiple: int) -> list[Sequence[int]]:
    """That of the example, and of a larger one where its height and width may vary, each by another factor."""
    shape = list(example.shape)
    varying = [axis for axis, dimension in enumerate(spec.shape) if axis and isinstance(dimension, str)]
    if not varying:
        return [shape]
    # Of a latent a side is that of the image by the multiple.
    step = 1 if spec.name == "latent" else multiple
    larger = list(shape)
    for factor, axis in enumerate(varying, start=1):
        larger[axis] += factor * step
    return [shape, larger]


def _check(layers: Layers, what: str) -> None:
    """Raise an ExportError where pnnx left what ncnn does not have."""
    ncnn = load_ncnn()
    unknown = [kind for kind in layers.kinds if ncnn.layer_to_index(kind) < 0]
    if unknown:
        # pnnx.Expression is but the arguments of another one.
        named = [kind for kind in unknown if kind != "pnnx.Expression"] or unknown
        raise ExportError(f"ncnn has no layer for {', '.join(named)}, which the {what} needs: use another format.")
