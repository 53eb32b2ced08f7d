"""``report.html``: a bundle on one page."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aedeploy.bundle import Bundle
from aedeploy.bundle.locate import find_bundle
from aedeploy.bundle.shipped import is_shipped
from aedeploy.bundle.store import changing, is_installed
from aedeploy.errors import AedeployError, BundleError, ConfigError
from aedeploy.evaluation.images import Failure
from aedeploy.files import write_bytes
from aedeploy.pictures import Subject
from aedeploy.pictures.draw import kind_named
from aedeploy.pictures.subject import MOST_IMAGES
from aedeploy.report.contents import contents
from aedeploy.report.drawings import Begun, Drawing, NotDrawn, drawings, report_pictures
from aedeploy.report.page import render, require_jinja
from aedeploy.report.paths import Paths

#: What a report is called in its bundle.
REPORT_FILE = "report.html"
_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Which images the pictures are of, what runs the graphs, and where the page goes.

    ``data``, ``root``, ``limit`` and ``seed`` are those of :class:`aedeploy.pictures.Subject`; ``backend``, ``format``,
    ``device`` and ``allow_failed`` those of :func:`aedeploy.load`. ``out``: a file; by default ``report.html`` in the
    bundle. ``pictures``: which kinds, in their order; by default all.
    """

    data: str | None = None
    root: Path | None = None
    out: Path | None = None
    limit: int = MOST_IMAGES
    seed: int = 0
    backend: str | None = None
    format: str | None = None
    device: str = "cpu"
    allow_failed: bool = False
    pictures: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """A page that was written. ``failures``: files of the data that could not be read."""

    bundle: str
    path: Path
    bytes: int
    pictures: tuple[str, ...]
    not_drawn: tuple[NotDrawn, ...]
    failures: tuple[Failure, ...]
    seconds: float = field(compare=False)


Event = Begun | Drawing | NotDrawn | Report


def write_report(bundle: Bundle | str | Path, options: ReportOptions | None = None) -> Report:
    """Write a bundle's page. Without exported graphs it has all but the pictures that those would draw.

    Raises:
        BundleError: there is no such bundle, or it came with the package and ``out`` does not say where else to write.
        ConfigError: ``out`` is no file of HTML, ``data`` names no images, or ``pictures`` no kind of them.
        IntegrityError: a graph is missing, or is not the one that the manifest vouches for.
        BackendError: the backend or device that was asked for cannot run.
        MissingDependencyError: jinja2 is not installed.
    """
    *_, report = writing_report(bundle, options)
    assert isinstance(report, Report)
    return report


def writing_report(bundle: Bundle | str | Path, options: ReportOptions | None = None) -> Iterator[Event]:
    """As :func:`write_report`, an event before and after each picture; the report is the last."""
    started = time.perf_counter()
    chosen = options or ReportOptions()
    require_jinja()
    kinds = report_pictures() if chosen.pictures is None else list(map(_known, chosen.pictures))
    found = bundle if isinstance(bundle, Bundle) else find_bundle(bundle)
    target = _target(found, chosen.out)
    _require_whole(found)
    subject = Subject(
        found,
        data=chosen.data,
        root=chosen.root,
        limit=chosen.limit,
        seed=chosen.seed,
        backend=chosen.backend,
        format=chosen.format,
        device=chosen.device,
        allow_failed=chosen.allow_failed,
    )
    paths = Paths([found.path, target.parent, chosen.root, Path(chosen.data) if chosen.data else None, Path.home()])
    with ExitStack() as opened:
        about = _about(subject, chosen, opened)
        drawn, not_drawn = [], []
        for event in drawings(subject, kinds, paths):
            yield event
            if isinstance(event, Drawing):
                drawn.append(event)
            elif isinstance(event, NotDrawn):
                not_drawn.append(event)
        page = render(contents(subject, drawn, not_drawn, [paths.hidden(said) for said in about], paths))
        failures = subject.images.failures if about else ()
    _write(found, target, page)
    yield Report(
        bundle=found.name,
        path=target,
        bytes=len(page),
        pictures=tuple(one.kind for one in drawn),
        not_drawn=tuple(not_drawn),
        failures=failures,
        seconds=time.perf_counter() - started,
    )


def _require_whole(bundle: Bundle) -> None:
    """Refuse a bundle of which a graph is not the one that passed: the page would vouch for it.

    Raises:
        IntegrityError: a file of a graph is missing, or was altered.
    """
    for graph in bundle.manifest.graphs:
        for record in filter(None, (graph.file, graph.data)):
            bundle.file(record)


def _known(kind: str) -> str:
    kind_named(kind)
    return kind


def _target(bundle: Bundle, out: Path | None) -> Path:
    """Where the page goes: seen to before anything is drawn."""
    own = bundle.path / REPORT_FILE
    target = own if out is None else out
    if target.suffix.lower() not in _SUFFIXES or target.is_dir():
        raise ConfigError(f"--out {target}: a report is a file of HTML; end its name with .html.")
    inside = target.resolve().is_relative_to(bundle.path.resolve())
    if inside and (is_installed(bundle) or is_shipped(bundle.path)):
        raise BundleError(
            f"Bundle {bundle.name!r} came with the package, and is left as it is: say where the report goes, by  "
            f"aedeploy report {shlex.quote(bundle.name)} --out {shlex.quote(bundle.name)}-report.html"
        )
    if inside and target.resolve() != own.resolve():
        raise ConfigError(f"--out {target} is in the bundle, where a report is called {REPORT_FILE}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _about(subject: Subject, options: ReportOptions, opened: ExitStack) -> list[str]:
    """What the pictures are of and drawn by; nothing where they cannot be, which then each of them says.

    What somebody asked for by name and cannot be had is an error, though.
    """
    try:
        codec = opened.enter_context(subject.codec)
        if options.device != "cpu":
            with suppress(BundleError):  # of a graph that is not run: the page says so
                codec.open("autoencoder")
    except AedeployError:
        if (options.backend, options.format, options.device) != (None, None, "cpu"):
            raise
        codec = None
    try:
        images = subject.images
    except AedeployError:
        if options.data is not None or options.root is not None:
            raise
        return []
    by = ""
    if codec is not None:
        graphs = "the bundle’s own weights" if codec.graph_format is None else f"its {codec.graph_format} graphs"
        by = f", by {codec.backend} from {graphs}"
    said = [f"Drawn of {images.about}{by}; whatever is drawn at random has the seed {subject.seed}."]
    if images.failures:
        said.append(f"{len(images.failures):,} of the files could not be read, and are left out.")
    return [*said, *images.notes]


def _write(bundle: Bundle, target: Path, page: bytes) -> None:
    if target.resolve().is_relative_to(bundle.path.resolve()):
        with changing(bundle):
            write_bytes(target, page)
    else:
        write_bytes(target, page)
