"""Layouts of a deployment target: one module each, its first docstring line its description, with

def runs(graph: GraphRecord) -> bool                  whether the target runs such a graph
def lay_out(bundle: Bundle, graphs: Sequence[GraphRecord], folder: Path) -> None    write them into an empty folder
def is_ours(folder: Path) -> bool                     whether all that is in a folder was written by lay_out

``write_layout`` is what all have in common: nothing wrong is laid out, and the folder is there whole or not at all.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.errors import BundleError, ConfigError
from aedeploy.names import load_named, names_in

LAYOUTS = "aedeploy.export.layouts"


def layout_names() -> list[str]:
    """The names of all layouts."""
    return names_in(LAYOUTS)


def write_layout(
    name: str, bundle: Bundle, folder: Path, formats: Sequence[str] | None = None, *, overwrite: bool = False
) -> tuple[GraphRecord, ...]:
    """Write the graphs of a bundle in the layout of a deployment target, and give them.

    Args:
        name: of the layout, see :func:`layout_names`.
        bundle: an opened bundle; its files are checked against its manifest.
        folder: a new one, or an empty one.
        formats: of the graphs; by default all that the target runs.
        overwrite: replace what an earlier call has written into ``folder``.

    Raises:
        UnknownNameError: there is no such layout.
        BundleError: the bundle has no graph that the target runs, or one of them failed its parity check.
        ConfigError: the folder holds something else, or is in the bundle.
        IntegrityError: a file is not what the manifest says.
    """
    layout = load_named(LAYOUTS, name, "layout")
    graphs = _chosen(name, bundle, graphs_for(name, bundle), formats)
    check_folder(name, bundle, folder, overwrite=overwrite)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".aedeploy-layout-", dir=folder.parent) as name_of_new:
        new, old = Path(name_of_new) / "new", Path(name_of_new) / "old"
        new.mkdir()
        layout.lay_out(bundle, graphs, new)
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except BaseException:
            with suppress(OSError):
                os.replace(old, folder)
            raise
    return tuple(graphs)


def graphs_for(name: str, bundle: Bundle) -> list[GraphRecord]:
    """The graphs of a bundle that a layout's target runs.

    Raises:
        UnknownNameError: there is no such layout.
    """
    layout = load_named(LAYOUTS, name, "layout")
    return [graph for graph in bundle.manifest.graphs if layout.runs(graph)]


def check_folder(name: str, bundle: Bundle, folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder in which something would be lost, or which is in the bundle.

    Raises:
        UnknownNameError: there is no such layout.
        ConfigError: as said.
    """
    layout = load_named(LAYOUTS, name, "layout")
    bundle.require_outside(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (overwrite and layout.is_ours(folder)):
        hint = (
            "holds files that aedeploy did not write" if overwrite else "is not empty (--overwrite replaces a layout)"
        )
        raise ConfigError(f"{folder} {hint}: choose a new folder.")


def _chosen(
    layout: str, bundle: Bundle, graphs: Sequence[GraphRecord], formats: Sequence[str] | None
) -> list[GraphRecord]:
    chosen = [graph for graph in graphs if not formats or graph.format in formats]
    if not chosen:
        have = ", ".join(sorted({graph.variant for graph in bundle.manifest.graphs})) or "none"
        asked = f"{' or '.join(formats)} " if formats else ""
        raise BundleError(
            f"Bundle {bundle.name!r} has no {asked}graph that {layout} runs (it has {have}): "
            f"run  aedeploy export {shlex.quote(str(bundle.path))} --format onnx --format torchscript"
        )
    for graph in chosen:
        if graph.parity == "failed":
            raise BundleError(
                f"The {graph.variant} {graph.role} graph of bundle {bundle.name!r} failed its parity check, so it is "
                "not laid out: export it again, or name the formats that passed with --format."
            )
    return chosen
