"""Where does a graph differ? Its values, one after another, against the PyTorch module that made them.

The model is exported afresh, in memory, with the exporter's notes: which module each node comes from. Its nodes and
values have the names that those in the shipped file have. PyTorch runs the same program and gives every value that it
names; what a node computes within one operator of PyTorch's is held against the fresh export instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.golden import load_samples
from aedeploy.errors import BackendError, ConfigError, ExportError
from aedeploy.export.node_values import Recorder, Values, error_of, other_node, other_values, own_name, run_onnx
from aedeploy.export.onnx_graph import opset_of, program_with_notes
from aedeploy.export.split import BytesIn, BytesOut, Graph, Inputs, split
from aedeploy.models.load import load_model
from aedeploy.models.own import OwnAutoencoder
from aedeploy.parity.inputs import FAR_SPREADS, PRIOR_SPREAD, latents_like
from aedeploy.parity.tolerances import tolerances_of

#: The formats whose files have nodes with the names that the exporter gave them.
FORMATS = ("onnx", "onnx-fp16", "onnx-int8")

#: A value's error may be so many times that of a fresh export, and this share of the largest number in it.
_NOISE_FACTOR = 4.0
_RELATIVE = 2e-6

#: Of a quantised graph, in relative L2: so many times what its latents may be off. Values in between are off by more.
_QUANTISED_FACTOR = 2.0

#: How many nodes are shown before and after the first that is off.
_AROUND = 4


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """One value of the graph against PyTorch's. Figures are None where it could not be computed or compared."""

    node: str
    operator: str
    value: str
    module: str  # of the model; empty outside of any
    passed: bool
    max_abs: float | None
    limit: float | None
    relative: float | None
    peak: float | None  # the largest number in PyTorch's value


@dataclass(frozen=True, kw_only=True)
class Bisection:
    """What was found in one graph; true when nothing."""

    graph: str  # "onnx encoder"
    first: NodeResult | None  # the first whose value is off
    reason: str | None  # what is wrong, in a sentence
    around: tuple[NodeResult, ...] = ()  # in the order in which they are computed
    compared: int = 0

    def __bool__(self) -> bool:
        return self.reason is None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def bisect(bundle: Bundle, record: GraphRecord) -> Bisection:
    """Find the first node of a shipped ONNX graph whose value leaves tolerance.

    Raises:
        ConfigError: the format's files have no nodes to look into.
        BundleError: the file is not the bundle's.
        ExportError: the model cannot be exported afresh, or nothing of that can be compared.
    """
    if record.format not in FORMATS:
        raise ConfigError(
            f"--bisect looks into {', '.join(FORMATS)} graphs, and a file of {record.format} shows no nodes: "
            "export the model as onnx as well, and bisect that."
        )
    shipped = onnx.load_from_string(bundle.file(record.file).read_bytes())
    samples = load_samples(bundle.file(bundle.manifest.golden))
    graphs = split(load_model(bundle), _no_metadata(), samples, record.pixels)
    graph = next(graph for graph in graphs if graph.role == record.role)
    return _Search(record=record, shipped=shipped, graph=graph, samples=samples).run()


def _no_metadata() -> Mapping[Any, Mapping[str, str]]:
    return {"encoder": {}, "decoder": {}, "autoencoder": {}}


@dataclass(kw_only=True)
class _Search:
    """One graph's shipped file, and what it was made of."""

    record: GraphRecord
    shipped: onnx.ModelProto
    graph: Graph
    samples: np.ndarray
    _prefix: str = field(init=False, default="")

    @cached_property
    def _program(self) -> torch.onnx.ONNXProgram:
        return program_with_notes(self.graph, opset_of(self.shipped))

    @cached_property
    def _fresh(self) -> onnx.ModelProto:
        model: onnx.ModelProto = self._program.model_proto
        return model

    def run(self) -> Bisection:
        self._prefix = _wrapper_prefix(self.graph)
        results: list[NodeResult] = []
        for inputs in self._inputs():
            try:
                found = run_onnx(self.shipped, self.graph.named(inputs))
            except BackendError as error:
                return self._cannot_run(error, inputs)
            results = list(self._compared(found, inputs))
            first = next((result for result in results if not result.passed), None)
            if first is not None:
                at = results.index(first)
                return Bisection(
                    graph=self._name,
                    first=first,
                    reason=f"{_sentence(first)}{self._explained(first)}",
                    around=tuple(results[max(0, at - _AROUND) : at + _AROUND + 1]),
                    compared=len(results),
                )
        if not results:
            raise ExportError(
                f"No value of {self.record.file.path} has a counterpart in what this PyTorch exports: "
                "it was written by another version; export again, and look into that."
            )
        weight = next(self._other_weights(self.shipped.graph.node), None)
        reason = f"No value leaves tolerance on what was tried, but {weight}." if weight else None
        return Bisection(graph=self._name, first=None, reason=reason, compared=len(results))

    @property
    def _name(self) -> str:
        return f"{self.record.variant} {self.record.role}"

    def _inputs(self) -> Iterator[Inputs]:
        """What the graph is fed: real images, and the extremes where those are judged, at two batch sizes."""
        shape = self.samples.shape[1:]
        noise = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)
        extremes = [np.full((1, *shape), value, np.uint8) for value in (0, 255)]
        images = self.samples[:5] if self._quantised else np.concatenate([self.samples[:2], noise, *extremes])
        for batch in (images, images[:2]):
            yield self.graph.real_inputs(batch)
        if self.graph.encoder is not None and not self._quantised:
            (latents,) = self.graph.real_inputs(images)
            for spread in (PRIOR_SPREAD, *FAR_SPREADS[:3]):
                yield (latents_like(latents, len(latents), spread),)

    def _compared(self, found: Values, inputs: Inputs) -> Iterator[NodeResult]:
        """Every value of the shipped file that has a counterpart, in the order in which they are computed."""
        fresh = run_onnx(self._fresh, self.graph.named(inputs))
        torch_values = self._torch_values(inputs)
        modules = {value: node for node in self._fresh.graph.node for value in node.output}
        for node in self.shipped.graph.node:
            for value, own in self._counterparts(node):
                reference = torch_values.get(own, fresh.get(own))
                if value not in found or reference is None:
                    continue
                noise = error_of(fresh[own], reference)[0] if own in fresh else 0.0
                yield self._judged(node, value, found[value], reference, noise or 0.0, modules.get(own))

    def _counterparts(self, node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
        """The values of a node, each with the name that it has in a fresh export."""
        own = self._fresh_nodes.get(node.name)
        if own is None or own.op_type != node.op_type or not self._quantised:
            yield from ((value, value) for value in node.output)
        else:
            # What quantises a graph names its values anew, and keeps the names of the layers.
            yield from zip(node.output, own.output, strict=False)

    @cached_property
    def _fresh_nodes(self) -> dict[str, onnx.NodeProto]:
        return {node.name: node for node in self._fresh.graph.node if node.name}

    @property
    def _quantised(self) -> bool:
        return self.record.format != "onnx"

    def _judged(
        self,
        node: onnx.NodeProto,
        value: str,
        got: np.ndarray,
        wanted: np.ndarray,
        noise: float,
        made_by: onnx.NodeProto | None,
    ) -> NodeResult:
        max_abs, relative = error_of(got, wanted)
        peak = float(np.abs(wanted.astype(np.float64)).max(initial=0.0))
        limit: float | None = _NOISE_FACTOR * noise + _RELATIVE * peak
        passed = max_abs is not None and limit is not None and max_abs <= limit
        if self._quantised:
            # What is computed in less is off everywhere: it is held to as much as a latent may be off.
            limit, most = None, tolerances_of(self.record.format).latent.norm or 0.0
            passed = relative is not None and relative <= _QUANTISED_FACTOR * most
        return NodeResult(
            node=node.name or value,
            operator=node.op_type,
            value=value,
            module=self._module_of(made_by),
            passed=passed,
            max_abs=max_abs,
            limit=limit,
            relative=relative,
            peak=peak,
        )

    def _torch_values(self, inputs: Inputs) -> Values:
        """What PyTorch computes, by the names that the ONNX values have."""
        exported = self._program.exported_program
        assert exported is not None
        recorder = Recorder(exported, [torch.from_numpy(np.ascontiguousarray(array)) for array in inputs])
        with torch.no_grad():
            values = recorder.values()
        # The exporter gives the outputs the names that it was told to.
        names = [spec.arg.name for spec in exported.graph_signature.output_specs]
        for output, name in zip(self.graph.outputs, names, strict=True):
            if name in values:
                values[output.name] = values[name]
        return values

    def _module_of(self, node: onnx.NodeProto | None) -> str:
        """The path of the module that made a node, without the wrappers that are ours."""
        if node is None:
            return ""
        notes = {entry.key: entry.value for entry in node.metadata_props}
        scopes = re.findall(r"'([^']*)'", notes.get("pkg.torch.onnx.name_scopes", ""))
        path = next((scope for scope in reversed(scopes[:-1]) if scope), "")
        return "" if self._prefix.startswith(f"{path}.") else path.removeprefix(self._prefix)

    def _explained(self, first: NodeResult) -> str:
        """How the node differs from what the model gives, where that can be read from the file."""
        node = next(node for node in self.shipped.graph.node if first.value in node.output)
        made = next((node for node in self._fresh.graph.node if first.value in node.output), None)
        causes = list(self._other_weights([node]))
        if made is None:
            causes.append("the model's own export has no such node")
        else:
            causes += other_node(node, made)
        return f": {'; '.join(causes)}." if causes else "."

    def _other_weights(self, nodes: Sequence[onnx.NodeProto]) -> Iterator[str]:
        """The constants of nodes that are not what the model's own export has under their names."""
        own, shipped = (
            {own_name(tensor.name): tensor for tensor in model.graph.initializer}
            for model in (self._fresh, self.shipped)
        )
        for name in dict.fromkeys(own_name(name) for node in nodes for name in node.input):
            if name not in own or name not in shipped or own[name].data_type != shipped[name].data_type:
                continue
            difference = other_values(numpy_helper.to_array(shipped[name]), numpy_helper.to_array(own[name]))
            if difference:
                yield f"the weight {name!r} is not the model's own: {difference}"

    def _cannot_run(self, error: BackendError, inputs: Inputs) -> Bisection:
        """The engine itself says which node; the shapes that its values may have say why."""
        match = re.search(r"Name:'([^']*)'", str(error))
        node = next((node for node in self.shipped.graph.node if match and node.name == match[1]), None)
        made = {value: node for node in self._fresh.graph.node for value in node.output}
        text = " ".join(str(error).split())
        if node is None:
            return Bisection(graph=self._name, first=None, reason=f"It does not run on {list(inputs[0].shape)}: {text}")
        first = NodeResult(
            node=node.name,
            operator=node.op_type,
            value=node.output[0],
            module=self._module_of(made.get(node.output[0])),
            passed=False,
            max_abs=None,
            limit=None,
            relative=None,
            peak=None,
        )
        explained = self._explained(first)
        reason = f"{_sentence(first)} cannot be computed for an input of {list(inputs[0].shape)}{explained} {text}"
        return Bisection(graph=self._name, first=first, reason=reason, around=(first,))


def _wrapper_prefix(graph: Graph) -> str:
    """The path of the model itself in a graph's module: what stands around it is ours."""
    module, path = graph.module, "model."
    while isinstance(module, BytesIn | BytesOut):
        module, path = module.inner, f"inner.{path}"
    return f"{path}model." if isinstance(module.model, OwnAutoencoder) else path


def _sentence(first: NodeResult) -> str:
    where = f"of the module {first.module!r}" if first.module else "of the model itself"
    off = "" if first.max_abs is None else f" is off by {first.max_abs:.1e}, of numbers up to {first.peak:.1e}"
    what = f"The node {first.node!r} ({first.operator}), {where},"
    return f"{what} is the first whose value{off or ' has another shape, NaN or infinity'}"
