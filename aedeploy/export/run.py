"""``export_bundle``: the model of a bundle cut, written in formats, recorded, and proven."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import get_args

import numpy as np

from aedeploy import __version__
from aedeploy.bundle import AnySize, Bundle, FileRecord, GraphRecord
from aedeploy.bundle.card import write_card
from aedeploy.bundle.golden import load_samples
from aedeploy.bundle.manifest import Pixels, Role
from aedeploy.bundle.software import installed_software
from aedeploy.bundle.store import changing, record_file, require_changeable
from aedeploy.errors import BusyError, ConfigError, MissingDependencyError, ParityError
from aedeploy.export.formats import Written
from aedeploy.export.lint import Finding, lint, refuse, subject_of
from aedeploy.export.split import Graph, split
from aedeploy.files import locked, sha256_of, sync_file
from aedeploy.models.any_size import measure_any_size
from aedeploy.models.contract import Deployable, graph_specs, roles_of
from aedeploy.models.load import load_model
from aedeploy.names import load_named, names_in
from aedeploy.parity.check import check_parity, record_parity
from aedeploy.parity.report import ParityReport

FORMATS = "aedeploy.export.formats"
DEFAULT_FORMAT = "onnx"
_STAGING = ".export-"


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """The bundle as it is now, the graphs written, their proof (None: not asked for), and what the lint warns of."""

    bundle: Bundle
    graphs: tuple[GraphRecord, ...]
    parity: ParityReport | None
    seconds: Mapping[str, float]  # what each stage took
    findings: tuple[Finding, ...] = ()  # of the lint: warnings, as errors refuse the export


def format_names() -> list[str]:
    """The names of all export formats."""
    return names_in(FORMATS)


def export_bundle(
    bundle: Bundle,
    formats: Sequence[str] = (DEFAULT_FORMAT,),
    *,
    pixels: Pixels = "float32",
    opset: int | None = None,
    calibration: np.ndarray | None = None,
    parity: bool = True,
    tolerances: Mapping[str, float] | None = None,
    findings: tuple[Finding, ...] | None = None,
) -> ExportResult:
    """Export every graph of a bundle's model in each format, and check them against PyTorch.

    Graphs in other formats, or of other pixels, stay untouched. The files of a format are replaced together, and until
    the last of them is in place the manifest does not vouch for any of them.

    Args:
        bundle: an opened bundle.
        formats: names of formats, see :func:`format_names`.
        pixels: how images go in and come out; uint8 ones are [batch, H, W, C].
        opset: of ONNX and what is made of it.
        calibration: real images for formats that quantise, uint8 [N, H, W, C] of the model's size; by default the
            held-out ones in the bundle.
        parity: whether to check them.
        tolerances: in place of the usual ones, see :mod:`aedeploy.parity.tolerances`.
        findings: of a lint that was done already; by default it is done here.

    Raises:
        UnknownNameError: there is no such format.
        BundleError: the bundle came with the package.
        ConfigError: an option that none of the formats takes.
        MissingDependencyError: what writes a format is not installed.
        ExportError: the model cannot be exported; a LintError, where the lint found why, holds its findings.
        ParityError: a graph does not compute what PyTorch computes; it is marked as failed in the manifest.
    """
    require_changeable(bundle)
    given = {"opset": opset, "calibration": calibration}
    options = {name: value for name, value in given.items() if value is not None}
    writers = _writers(formats, pixels, options)
    clock = _Clock()
    with clock.timing("model"):
        model = load_model(bundle)
        samples = load_samples(bundle.file(bundle.manifest.golden))
    with clock.timing("lint"):
        cut = partial(split, model, _metadata(bundle, model, pixels), samples, pixels)
        subject = subject_of(model, samples, tuple(writers), cut)
        findings = lint(subject) if findings is None else findings
        refuse(findings)
    with clock.timing("any size"):
        any_size = measure_any_size(model)
    with staging_folder(bundle.path) as staging:
        records = _write(staging, subject.graphs, writers, options, clock)
        bundle = _commit(bundle, staging, records, any_size)
    if not parity:
        write_card(bundle)
        return ExportResult(bundle=bundle, graphs=tuple(records), parity=None, seconds=clock.seconds, findings=findings)
    with clock.timing("parity"):
        report = check_parity(bundle, [(format, pixels) for format in writers], tolerances=tolerances)
    bundle = record_parity(bundle, report)
    if not report:
        raise ParityError(f"The export is wrong: {'; '.join(report.failures())}.", report)
    written_now = {(record.format, record.pixels) for record in records}
    graph_records = tuple(g for g in bundle.manifest.graphs if (g.format, g.pixels) in written_now)
    return ExportResult(bundle=bundle, graphs=graph_records, parity=report, seconds=clock.seconds, findings=findings)


def _writers(formats: Sequence[str], pixels: Pixels, options: Mapping[str, object]) -> dict[str, ModuleType]:
    """The module of each format, where all that was asked for can be done."""
    if pixels not in get_args(Pixels):
        raise ConfigError(f"--pixels is one of {', '.join(get_args(Pixels))}: {pixels!r} is not.")
    writers = {format: load_named(FORMATS, format, "format") for format in dict.fromkeys(formats)}
    for name in options:
        if not any(name in writer.OPTIONS for writer in writers.values()):
            raise ConfigError(f"--{name} has no meaning for {', '.join(writers)}: leave it out.")
    for format, writer in writers.items():
        if writer.missing():
            raise MissingDependencyError(writer.missing(), writer.missing(), f"The format {format!r}")
    return writers


def _write(
    staging: Path,
    graphs: Sequence[Graph],
    writers: Mapping[str, ModuleType],
    options: Mapping[str, object],
    clock: _Clock,
) -> list[GraphRecord]:
    """Every graph in every format, into the staging folder."""
    records: list[GraphRecord] = []
    for format, writer in writers.items():
        taken = {name: value for name, value in options.items() if name in writer.OPTIONS}
        for graph in graphs:
            relative = _file(format, graph, writer.SUFFIX)
            (staging / relative).parent.mkdir(parents=True, exist_ok=True)
            with clock.timing(f"{format} {graph.role}"):
                written: Written = writer.write(graph, staging / relative, taken)
            records.append(_record(staging, relative, format, graph, written))
    return records


class _Clock:
    """What each stage took, in seconds, in their order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def _file(format: str, graph: Graph, suffix: str) -> str:
    """Where a graph's file is in the bundle."""
    kind = "" if graph.pixels == "float32" else f".{graph.pixels}"
    return f"graphs/{format}/{graph.role}{kind}{suffix}"


def _metadata(bundle: Bundle, model: Deployable, pixels: Pixels) -> dict[Role, dict[str, str]]:
    """What a file says of itself, so that it explains itself when it has left its bundle."""
    manifest = bundle.manifest
    metadata: dict[Role, dict[str, str]] = {}
    for role in roles_of(model):
        inputs, outputs = graph_specs(model, role, pixels)
        contract = {
            "image": manifest.image.model_dump(mode="json"),
            "latent": manifest.latent.model_dump(mode="json") if manifest.latent else None,
            "inputs": [spec.model_dump(mode="json") for spec in inputs],
            "outputs": [spec.model_dump(mode="json") for spec in outputs],
        }
        if manifest.noise is not None:
            # Of no other: what earlier releases wrote of them, and can read, stays as it is.
            contract["noise"] = manifest.noise.model_dump(mode="json")
        metadata[role] = {
            "aedeploy.role": role,
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
        pixels=graph.pixels,
        file=record_file(staging, relative),
        data=record_file(staging, written.data.relative_to(staging).as_posix()) if written.data else None,
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
def staging_folder(parent: Path) -> Iterator[Path]:
    """A folder in another one, so that moving files there is a rename; removed at the end, whatever happens.

    What a killed export left behind is removed too: nobody holds it any more.
    """
    with ExitStack() as stack:
        # Together under the parent's lock: otherwise a folder could be swept away before its own export holds it.
        with locked(parent):
            for left in parent.glob(f"{_STAGING}*"):
                with suppress(BusyError, FileNotFoundError), locked(left, busy="another export is at work in it"):
                    shutil.rmtree(left)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_STAGING, dir=parent)))
            stack.enter_context(locked(folder))
        yield folder


def _commit(bundle: Bundle, staging: Path, records: Sequence[GraphRecord], any_size: AnySize | None) -> Bundle:
    """Move the staged files into place; a kill in the middle leaves a valid bundle without the graphs in question."""
    files = [file for record in records for file in (record.file, record.data) if file is not None]
    changed = [file for file in files if not _same(bundle.path / file.path, file)]
    with changing(bundle) as current:
        before = {_key(graph): graph for graph in current.manifest.graphs}
        if changed:
            renewed = {_key(record) for record in records}
            kept = tuple(graph for key, graph in before.items() if key not in renewed)
            current.save(current.manifest.model_copy(update={"graphs": kept}))
        for file in changed:
            target = bundle.path / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            sync_file(staging / file.path)
            os.replace(staging / file.path, target)
        software = {**current.manifest.software, **_software(records)}
        manifest = current.manifest.model_copy(update={"software": software, "any_size": any_size})
        return Bundle(current.path, manifest).with_graphs(_with_verdict(record, before) for record in records)


def _software(records: Sequence[GraphRecord]) -> dict[str, dict[str, str]]:
    """By variant, every package that took part in writing it: also those that its format alone needs."""
    return {record.variant: installed_software(("train",), record.producer) for record in records}


def _key(record: GraphRecord) -> tuple[str, str, str]:
    return record.format, record.pixels, record.role


def _with_verdict(record: GraphRecord, before: Mapping[tuple[str, str, str], GraphRecord]) -> GraphRecord:
    """A file that is known to be wrong stays so when the same bytes are written again."""
    known = before.get(_key(record))
    same = known is not None and known.parity == "failed" and (known.file, known.data) == (record.file, record.data)
    return record.model_copy(update={"parity": "failed"}) if same else record


def _same(path: Path, file: FileRecord) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and sha256_of(path) == file.sha256
