"""``export_bundle``: the model of a bundle cut, written in formats, recorded, and proven."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aedeploy import __version__
from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.card import write_card
from aedeploy.bundle.manifest import ROLES, Role
from aedeploy.bundle.store import changing, record_file
from aedeploy.errors import BusyError, ConfigError, ParityError
from aedeploy.export.formats import Written
from aedeploy.export.split import Graph, split
from aedeploy.files import locked, sha256_of, sync_file
from aedeploy.models.build import BuiltModel, load_model
from aedeploy.models.contract import graph_specs
from aedeploy.names import load_named, names_in
from aedeploy.parity.check import check_parity, record_parity
from aedeploy.parity.report import ParityReport

FORMATS = "aedeploy.export.formats"
DEFAULT_FORMAT = "onnx"
_STAGING = ".export-"


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """The bundle as it is now, the graphs written, and their proof (None: it was not asked for)."""

    bundle: Bundle
    graphs: tuple[GraphRecord, ...]
    parity: ParityReport | None


def format_names() -> list[str]:
    """The names of all export formats."""
    return names_in(FORMATS)


def export_bundle(
    bundle: Bundle, formats: Sequence[str] = (DEFAULT_FORMAT,), *, opset: int | None = None, parity: bool = True
) -> ExportResult:
    """Export every graph of a bundle's model in each format, and check them against PyTorch.

    Graphs in other formats stay untouched. The files of a format are replaced together, and until the last of them
    is in place the manifest does not vouch for any of them.

    Raises:
        UnknownNameError: there is no such format.
        ConfigError: an option that the format does not take.
        ExportError: the model cannot be exported.
        ParityError: a graph does not compute what PyTorch computes; it is marked as failed in the manifest.
    """
    writers = {format: load_named(FORMATS, format, "format") for format in dict.fromkeys(formats)}
    options = {"opset": opset} if opset is not None else {}
    for name in options:
        if not any(name in writer.OPTIONS for writer in writers.values()):
            raise ConfigError(f"--{name} has no meaning for {', '.join(writers)}: leave it out.")
    built = load_model(bundle)
    graphs = split(built, _metadata(bundle, built))
    records: list[GraphRecord] = []
    with _staging(bundle.path) as staging:
        for format, writer in writers.items():
            taken = {name: value for name, value in options.items() if name in writer.OPTIONS}
            for graph in graphs:
                relative = f"graphs/{format}/{graph.role}{writer.SUFFIX}"
                (staging / relative).parent.mkdir(parents=True, exist_ok=True)
                written: Written = writer.write(graph, staging / relative, taken)
                records.append(_record(staging, relative, format, graph, written))
        bundle = _commit(bundle, staging, records)
    if not parity:
        write_card(bundle)
        return ExportResult(bundle=bundle, graphs=tuple(records), parity=None)
    report = check_parity(bundle, list(writers))
    bundle = record_parity(bundle, report)
    if not report:
        raise ParityError(f"The export is wrong: {'; '.join(report.failures())}.", report)
    graph_records = tuple(graph for graph in bundle.manifest.graphs if graph.format in writers)
    return ExportResult(bundle=bundle, graphs=graph_records, parity=report)


def _metadata(bundle: Bundle, built: BuiltModel) -> dict[Role, dict[str, str]]:
    """What a file says of itself, so that it explains itself when it has left its bundle."""
    manifest = bundle.manifest
    metadata: dict[Role, dict[str, str]] = {}
    for role in ROLES:
        inputs, outputs = graph_specs(built, role)
        contract = {
            "image": manifest.image.model_dump(mode="json"),
            "latent": manifest.latent.model_dump(mode="json") if manifest.latent else None,
            "inputs": [spec.model_dump(mode="json") for spec in inputs],
            "outputs": [spec.model_dump(mode="json") for spec in outputs],
        }
        metadata[role] = {
            "aedeploy.role": role,
            "aedeploy.bundle": manifest.name,
            "aedeploy.bundle_digest": manifest.digest,
            "aedeploy.contract": json.dumps(contract, sort_keys=True),
            "aedeploy.recipe": json.dumps(manifest.recipe, sort_keys=True),
            "aedeploy.versions": json.dumps({"aedeploy": __version__, **manifest.provenance.packages}, sort_keys=True),
        }
    return metadata


def _record(staging: Path, relative: str, format: str, graph: Graph, written: Written) -> GraphRecord:
    return GraphRecord(
        role=graph.role,
        format=format,
        file=record_file(staging, relative),
        inputs=graph.inputs,
        outputs=graph.outputs,
        parity="unchecked",
        opset=written.opset,
        ir_version=written.ir_version,
        quantisation=written.quantisation,
        producer={"aedeploy": __version__, **written.producer},
        oldest_runtime=written.oldest_runtime,
    )


@contextmanager
def _staging(bundle_path: Path) -> Iterator[Path]:
    """A folder in the bundle, so that moving a file out of it is a rename; removed at the end, whatever happens.

    What a killed export left behind is removed too: nobody holds it any more.
    """
    with ExitStack() as stack:
        # Together under the bundle's lock: otherwise a folder could be swept away before its own export holds it.
        with locked(bundle_path):
            for left in bundle_path.glob(f"{_STAGING}*"):
                with suppress(BusyError, FileNotFoundError), locked(left, busy="another export is at work in it"):
                    shutil.rmtree(left)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_STAGING, dir=bundle_path)))
            stack.enter_context(locked(folder))
        yield folder


def _commit(bundle: Bundle, staging: Path, records: Sequence[GraphRecord]) -> Bundle:
    """Move the staged files into place; a kill in the middle leaves a valid bundle without the graphs in question."""
    changed = [record for record in records if not _same(bundle.path / record.file.path, record)]
    with changing(bundle) as current:
        before = {(graph.format, graph.role): graph for graph in current.manifest.graphs}
        if changed:
            renewed = {(record.format, record.role) for record in records}
            kept = tuple(graph for key, graph in before.items() if key not in renewed)
            current.save(current.manifest.model_copy(update={"graphs": kept}))
        for record in changed:
            target = bundle.path / record.file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            sync_file(staging / record.file.path)
            os.replace(staging / record.file.path, target)
        return current.with_graphs(_with_verdict(record, before) for record in records)


def _with_verdict(record: GraphRecord, before: Mapping[tuple[str, Role], GraphRecord]) -> GraphRecord:
    """A file that is known to be wrong stays so when the same bytes are written again."""
    known = before.get((record.format, record.role))
    same = known is not None and known.parity == "failed" and known.file == record.file
    return record.model_copy(update={"parity": "failed"}) if same else record


def _same(path: Path, record: GraphRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.file.bytes and sha256_of(path) == record.file.sha256
