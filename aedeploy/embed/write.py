"""From a bundle and a target to a folder with a program in it."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.manifest import ROLES
from aedeploy.embed.contract import contract_of, model_file
from aedeploy.embed.program import Program
from aedeploy.errors import BundleError, ConfigError
from aedeploy.files import sha256_of, write_bytes, write_json
from aedeploy.names import literals_in, load_named, names_in

TARGETS = "aedeploy.embed.targets"

#: What a folder's files were when they were written: what was changed since is not written over.
MARK_FILE = ".aedeploy-embed.json"


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A program that was written."""

    program: Program
    folder: Path
    files: tuple[str, ...]
    next: tuple[str, ...]  # the commands that come next, in the folder


def target_names() -> list[str]:
    """The names of all targets."""
    return names_in(TARGETS)


def write_program(
    target: str,
    bundle: Bundle,
    folder: Path,
    *,
    format: str | None = None,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Embedded:
    """Write a program around a bundle.

    Args:
        target: see :func:`target_names`.
        bundle: an opened bundle; its files are checked against its manifest.
        folder: a new one, or an empty one; or, with ``overwrite``, one that an earlier call wrote. Files in it that
            are not ours stay; where one of ours was changed since, nothing is written.
        format: of the graphs; by default the first of the target's that the bundle has.
        options: the target's own.
        say: told in a sentence what takes time, such as what is fetched.

    Raises:
        UnknownNameError: there is no such target.
        ConfigError: the target has no such format or option, or something would be lost in the folder.
        BundleError: the bundle has no graph that the target runs, or one that failed its parity check.
        IntegrityError: a file is not what the manifest says.
    """
    module = load_named(TARGETS, target, "target")
    chosen = {name: value for name, value in (options or {}).items() if value is not None}
    for name in chosen:
        if name not in getattr(module, "OPTIONS", ()):
            others = [other for other in target_names() if name in _literal(other, "OPTIONS")]
            raise ConfigError(f"--{name} is of the target {' and '.join(others) or 'of nobody'}, not of {target}.")
    folder = folder.absolute()
    written = _check_folder(folder, bundle, overwrite=overwrite)
    graphs = _graphs(bundle, target, module.FORMATS, format)
    program = Program(
        target=target,
        bundle=bundle,
        format=graphs[0].format,
        graphs=graphs,
        contract=contract_of(bundle, graphs),
        options=chosen,
        say=say,
    )
    files: dict[str, bytes] = module.files(program)
    for record in (bundle.manifest.golden, *(r for graph in graphs for r in (graph.file, graph.data) if r is not None)):
        files[model_file(record)] = bundle.file(record).read_bytes()
    _write(folder, files, written, program)
    return Embedded(program=program, folder=folder, files=tuple(sorted(files)), next=module.NEXT)


def _literal(target: str, name: str) -> tuple[str, ...]:
    found = literals_in(TARGETS, target).get(name, ())
    return found if isinstance(found, tuple) else ()


def _graphs(bundle: Bundle, target: str, runs: tuple[str, ...], format: str | None) -> tuple[GraphRecord, ...]:
    if format is not None and format not in runs:
        raise ConfigError(f"A {target} program runs {', '.join(runs)}, not {format!r}.")
    have = {graph.format for graph in bundle.manifest.graphs if graph.pixels == "float32"}
    chosen = format or next((name for name in runs if name in have), runs[0])
    found = [bundle.manifest.graph(role, chosen) for role in ROLES]
    graphs = tuple(graph for graph in found if graph is not None)
    path = shlex.quote(str(bundle.path))
    if not graphs:
        has = ", ".join(sorted({graph.variant for graph in bundle.manifest.graphs})) or "none"
        raise BundleError(
            f"Bundle {bundle.name!r} has no {chosen} graph of float32 images for a {target} program (it has {has}): "
            f"run  aedeploy export {path} --format {chosen}"
        )
    for graph in graphs:
        if graph.parity == "failed":
            raise BundleError(
                f"The {graph.variant} {graph.role} graph of bundle {bundle.name!r} failed its parity check, so no "
                f"program is written around it: run  aedeploy export {path} --format {chosen}"
            )
    return graphs


def _check_folder(folder: Path, bundle: Bundle, *, overwrite: bool) -> dict[str, list[str]]:
    """What an earlier call wrote into the folder, by path; refuses a folder in which something would be lost."""
    bundle.require_outside(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        return {}
    if not overwrite:
        raise ConfigError(
            f"{folder} is not empty: choose a new folder (--overwrite replaces a program that was written there)."
        )
    written = _written(folder)
    changed = sorted(path for path, digests in written.items() if _occupied(folder / path, digests))
    if changed:
        named = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise ConfigError(
            f"{named} in {folder} changed since aedeploy wrote it, and would be lost: choose a new folder, or move "
            "what you changed."
        )
    return written


def _written(folder: Path) -> dict[str, list[str]]:
    try:
        files = json.loads((folder / MARK_FILE).read_bytes())["files"]
        return {_inside(path): [str(digest) for digest in digests] for path, digests in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{folder} holds files that aedeploy did not write: choose a new folder.") from None


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise ValueError(path)
    return path


def _write(folder: Path, files: Mapping[str, bytes], written: Mapping[str, list[str]], program: Program) -> None:
    digests = {path: sha256(content).hexdigest() for path, content in files.items()}
    if not folder.is_dir() or not any(folder.iterdir()):
        _write_new(folder, files, digests, program)
        return
    for path in files:
        if path not in written and _occupied(folder / path, [digests[path]]):
            raise ConfigError(f"{folder / path} is not aedeploy's, and would be lost: move it, or choose a new folder.")
    # While files of both are there, either is ours: a call that was cut short can be made again.
    both = {
        path: [*written.get(path, ()), *([digests[path]] if path in digests else ())] for path in {*written, *files}
    }
    _mark(folder, both, program)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / path, content)
    for path in written.keys() - files.keys():
        (folder / path).unlink(missing_ok=True)
        for parent in (folder / path).parents:
            if parent == folder:
                break
            with suppress(OSError):  # not empty
                parent.rmdir()
    _mark(folder, {path: [digest] for path, digest in digests.items()}, program)


def _occupied(path: Path, digests: Sequence[str]) -> bool:
    """Whether there is something other than a file of one of those digests."""
    return path.exists() and not (path.is_file() and sha256_of(path) in digests)


def _write_new(folder: Path, files: Mapping[str, bytes], digests: Mapping[str, str], program: Program) -> None:
    """The whole folder, or nothing of it."""
    # An empty folder stays the one that it is: it may be mounted, linked to, or where somebody's shell is.
    place = folder if folder.is_dir() else folder.parent
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".aedeploy-embed-", dir=place) as scratch:
        new = Path(scratch) / "new"
        for path, content in files.items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_bytes(content)
        _mark(new, {path: [digest] for path, digest in digests.items()}, program)
        if place != folder:
            os.replace(new, folder)
            return
        # The mark first: if this is cut short, --overwrite goes on.
        for entry in sorted(new.iterdir(), key=lambda entry: entry.name != MARK_FILE):
            os.replace(entry, folder / entry.name)


def _mark(folder: Path, files: Mapping[str, list[str]], program: Program) -> None:
    mark = {
        "about": "Written by aedeploy embed: --overwrite replaces these files, as long as they are as they were.",
        "target": program.target,
        "bundle_digest": program.bundle.manifest.digest,
        "files": dict(sorted(files.items())),
    }
    write_json(folder / MARK_FILE, mark)
