"""``aedeploy export --layout``: what a bundle has, in the layout of a deployment target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aedeploy.cli.console import Output, counted

if TYPE_CHECKING:
    from aedeploy.bundle import Bundle


def needs_export(bundle: Bundle, layout: tuple[str, Path], *, asked: bool, overwrite: bool) -> bool:
    """Whether something must be exported first: what was ``asked`` for, or anything at all that the target runs.

    Raises:
        UnknownNameError, ConfigError: the layout or its folder cannot be; better said before an export than after it.
    """
    from aedeploy.export.layouts import check_folder, graphs_for

    name, folder = layout
    check_folder(name, bundle, folder, overwrite=overwrite)
    return asked or not graphs_for(name, bundle)


def lay_out(
    bundle: Bundle, layout: tuple[str, Path], formats: Sequence[str] | None, output: Output, *, overwrite: bool
) -> dict[str, Any]:
    """Write the layout, and describe it for ``--json``."""
    from aedeploy.export.layouts import write_layout

    name, folder = layout
    graphs = write_layout(name, bundle, folder, formats, overwrite=overwrite)
    unchecked = [f"{graph.variant} {graph.role}" for graph in graphs if graph.parity == "unchecked"]
    if unchecked:
        output.note(
            f"Not checked against PyTorch: {', '.join(unchecked)}. Run  aedeploy parity  before you rely on it."
        )
    return {"name": name, "folder": str(folder), "models": sorted(path.name for path in folder.iterdir())}


def layout_text(placed: Mapping[str, Any]) -> str:
    """What :func:`lay_out` wrote, for a person."""
    models = placed["models"]
    return "\n".join([f"{placed['folder']}: {counted(len(models), 'model')} for {placed['name']}", *models])
