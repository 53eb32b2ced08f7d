"""A graph as ONNX: converted once, cleaned of this machine, checked. Several formats are written from it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping

import onnx
import torch

from aedeploy.bundle import TensorSpec
from aedeploy.errors import ConfigError, ExportError
from aedeploy.export.split import Graph

#: The exporter's own default. Lower ones are converted to, which it does not always manage.
DEFAULT_OPSET = 20
OPSETS = range(18, 26)

#: A protobuf message holds no more than 2 GiB; beside the weights there is the graph.
_MOST_BYTES = 2 * 2**30 - 2**20

#: The oldest onnxruntime that loads a file of an opset and of the lowest IR version for it. Measured, by running one
#: in every minor release from 1.15 on; older ones have no package for a Python of today.
RUNTIME_OF_OPSET = {18: "1.15", 19: "1.15", 20: "1.17", 21: "1.18", 22: "1.21", 23: "1.23", 24: "1.24", 25: "1.24"}

_NOT_DETERMINISTIC = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
}


def to_onnx(graph: Graph, opset: int = DEFAULT_OPSET) -> onnx.ModelProto:
    """The graph as a self-contained ONNX model: a copy of one's own, without a path or a source line of this machine.

    Raises:
        ExportError: the model cannot be exported, has random or training nodes, or nears 2 GiB.
    """
    if opset not in graph.converted:
        graph.converted[opset] = _converted(graph, opset)
    copied = onnx.ModelProto()
    copied.CopyFrom(graph.converted[opset])
    return copied


def chosen_opset(options: Mapping[str, object]) -> int:
    """The opset that the options of an export ask for.

    Raises:
        ConfigError: it is not one that can be written.
    """
    given = options.get("opset")
    opset = DEFAULT_OPSET if given is None else int(str(given))
    if opset not in OPSETS:
        raise ConfigError(f"--opset {opset}: choose one from {OPSETS.start} to {OPSETS.stop - 1}.")
    return opset


def oldest_runtime(opset: int) -> str:
    """The oldest onnxruntime that runs what is made of an ONNX graph: in less than float32, or in its own format.

    Measured at the default opset; what a lower one would let older releases do was not.
    """
    return f"onnxruntime {RUNTIME_OF_OPSET[max(opset, DEFAULT_OPSET)]}"


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators that a model uses."""
    return int(next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))


def _converted(graph: Graph, asked: int) -> onnx.ModelProto:
    model = convert_with_notes(graph, asked)
    strip(model)
    _refuse_what_is_not_deterministic(graph, model)
    opset = opset_of(model)
    if opset != asked:
        raise ExportError(
            f"Opset {asked} was asked for, and the exporter could only write {opset}: use --opset {opset}."
        )
    # The lowest IR version that the opset allows: a runtime refuses any that is newer than itself.
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    for key, value in graph.metadata.items():
        model.metadata_props.add(key=key, value=value)
    check(graph, model)
    return model


def convert_with_notes(graph: Graph, opset: int) -> onnx.ModelProto:
    """As PyTorch's exporter gives it: each node says which module it comes from, and names files of this machine."""
    model: onnx.ModelProto = program_with_notes(graph, opset).model_proto
    return model


def program_with_notes(graph: Graph, opset: int) -> torch.onnx.ONNXProgram:
    """The same, beside the decomposed PyTorch program that it was made of: a value has one name in both.

    Raises:
        ExportError: the model cannot be exported.
    """
    with silenced():
        try:
            program = torch.onnx.export(
                graph.program,
                opset_version=opset,
                input_names=[spec.name for spec in graph.inputs],
                output_names=[spec.name for spec in graph.outputs],
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except ExportError:
            raise
        except Exception as error:  # the exporter raises whatever its passes raise
            last_line = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            raise ExportError(
                f"PyTorch could not export the {graph.role} to ONNX at opset {opset}: {last_line}"
            ) from error
    if program is None:
        raise ExportError(f"PyTorch gave no ONNX program for the {graph.role}.")
    return program


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """The exporter speaks of its own progress and versions; what matters to a user is checked here afterwards."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes of its own working: stack traces hold the paths and lines of this machine."""
    del model.metadata_props[:]
    model.doc_string = ""
    _strip_graph(model.graph)
    for function in model.functions:
        del function.metadata_props[:]
        function.doc_string = ""
        for node in function.node:
            _strip_node(node)


def _strip_graph(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    del graph.metadata_props[:]
    for values in (graph.input, graph.output, graph.value_info):
        for value in values:
            del value.metadata_props[:]
            value.doc_string = ""
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    for node in graph.node:
        _strip_node(node)


def _strip_node(node: onnx.NodeProto) -> None:
    del node.metadata_props[:]
    node.doc_string = ""
    for attribute in node.attribute:
        attribute.doc_string = ""
        if attribute.type == onnx.AttributeProto.GRAPH:
            _strip_graph(attribute.g)


def _refuse_what_is_not_deterministic(graph: Graph, model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        training = any(a.name == "training_mode" and a.i for a in node.attribute)
        if node.op_type in _NOT_DETERMINISTIC or node.op_type == "Dropout" or training:
            kind = "training-mode" if training else "random"
            raise ExportError(
                f"The {graph.role} graph has the {kind} node {node.op_type} ({node.name}), so its output would change "
                "from call to call: export a model in eval mode that takes its noise as an input."
            )


def check(graph: Graph, model: onnx.ModelProto) -> None:
    """Refuse a model whose names, dynamic dimensions, size or structure are not what the graph says.

    Raises:
        ExportError: as above.
    """
    for wanted, values in ((graph.inputs, model.graph.input), (graph.outputs, model.graph.output)):
        if [spec.name for spec in wanted] != [value.name for value in values]:
            raise ExportError(f"The {graph.role} graph came out with the names {[value.name for value in values]}.")
        for spec, value in zip(wanted, values, strict=True):
            _check_shape(graph, spec, value)
    if model.ByteSize() > _MOST_BYTES:
        raise ExportError(f"The {graph.role} graph has {model.ByteSize()} bytes: a single ONNX file holds 2 GiB.")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"The {graph.role} graph is not valid ONNX: {error}") from None


def _check_shape(graph: Graph, spec: TensorSpec, value: onnx.ValueInfoProto) -> None:
    """A dimension that must vary and was written as a number was baked in; then name it as the manifest does."""
    dimensions = value.type.tensor_type.shape.dim
    if len(dimensions) != len(spec.shape):
        raise ExportError(f"{spec.name!r} of the {graph.role} graph came out with {len(dimensions)} dimensions.")
    for wanted, dimension in zip(spec.shape, dimensions, strict=True):
        if isinstance(wanted, str) and dimension.HasField("dim_value"):
            raise ExportError(
                f"The {wanted} of {spec.name!r} was baked into the {graph.role} graph as {dimension.dim_value}: "
                "something in the model (a view or reshape with fixed sizes) does not follow its input."
            )
        if isinstance(wanted, str):
            dimension.dim_param = wanted
