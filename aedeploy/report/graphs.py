"""The graphs of a bundle: what they take and give, and how many of them may be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aedeploy.bundle.manifest import GraphRecord, Manifest, TensorSpec
from aedeploy.report.tables import Cell, Row, Table, bytes_text, verdict


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of all graphs together: the worst of it first. ``failed``: which ones."""

    state: Literal["passed", "failed", "unchecked", "none"]
    words: str
    counts: str
    failed: tuple[str, ...]


def overall(manifest: Manifest) -> Verdict:
    """The manifest's word on its graphs, which is what every runtime of aedeploy goes by."""
    found = Counter(graph.parity for graph in manifest.graphs)
    total = len(manifest.graphs)
    counts = ", ".join(f"{found[state]} {state}" for state in ("passed", "failed", "unchecked"))
    failed = tuple(f"{graph.variant} {graph.role}" for graph in manifest.graphs if graph.parity == "failed")
    if not total:
        said = "No graph has been exported yet, so there is nothing that another program could run."
        return Verdict(state="none", words=said, counts="no graphs", failed=())
    if failed:
        one = len(failed) == 1
        said = (
            f"{len(failed)} of {_graphs(total)} FAILED parity: {'it does' if one else 'they do'} not compute what "
            f"PyTorch computes, and aedeploy refuses to run {'it' if one else 'them'}."
        )
        return Verdict(state="failed", words=said, counts=counts, failed=failed)
    if found["unchecked"]:
        said = f"{found['unchecked']} of {_graphs(total)} {'was' if found['unchecked'] == 1 else 'were'} never held "
        said += "against PyTorch: whether all compute the same is not known."
        return Verdict(state="unchecked", words=said, counts=counts, failed=())
    said = f"{'The only graph' if total == 1 else f'All {total} graphs'} passed parity: "
    said += f"{'it computes' if total == 1 else 'they compute'} what PyTorch computes."
    return Verdict(state="passed", words=said, counts=counts, failed=())


def graphs_table(manifest: Manifest) -> Table:
    """Every graph with its tensors, its size and its verdict."""
    return Table(
        label="Graphs",
        head=("graph", "parity", "takes", "gives", "size", "needs"),
        rows=tuple(_row(graph) for graph in manifest.graphs),
    )


def _row(graph: GraphRecord) -> Row:
    files = [file for file in (graph.file, graph.data) if file is not None]
    needs = [f"opset {graph.opset}" if graph.opset else "", graph.oldest_runtime or ""]
    return Row(
        cells=(
            Cell(text=f"{graph.variant} {graph.role}"),
            verdict(graph.parity),
            Cell(text=_tensors(graph.inputs), look="name"),
            Cell(text=_tensors(graph.outputs), look="name"),
            Cell(text=bytes_text(sum(file.bytes for file in files)), look="figure"),
            Cell(text=", ".join(filter(None, needs)) or "–"),
        ),
        failed=graph.parity == "failed",
        note=_quantised(graph),
    )


def _tensors(specs: Sequence[TensorSpec]) -> str:
    return "\n".join(_tensor(spec) for spec in specs)


def _tensor(spec: TensorSpec) -> str:
    shape = ", ".join(map(str, spec.shape))
    said = f"{spec.name} {spec.dtype}\n[{shape}]"
    if spec.minimum is not None and spec.maximum is not None:
        return f"{said} in [{spec.minimum:g}, {spec.maximum:g}]"
    return said


def _quantised(graph: GraphRecord) -> str | None:
    """What a graph of less precision lost."""
    found = graph.quantisation
    if found is None:
        return None
    parts = [f"{graph.variant} {graph.role} computes in {found.precision}"]
    if found.psnr is not None:
        parts.append(f"{found.psnr:.1f} dB against the float32 graph")
    if found.float_layers:
        parts.append(f"{len(found.float_layers)} layers were left in float32")
    return "; ".join(parts) + "."


def _graphs(number: int) -> str:
    return f"{number} graph{'' if number == 1 else 's'}"
