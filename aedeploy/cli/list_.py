"""``aedeploy list``: the names that other commands take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.options import Debug, Json, Quiet, Verbose
from aedeploy.cli.tables import add_row, columns
from aedeploy.errors import BundleError, UnknownNameError

if TYPE_CHECKING:
    from rich.table import Table

Rows = list[dict[str, str]]

_FORMATS = "aedeploy.export.formats"
_TARGETS = "aedeploy.embed.targets"


@reporting
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(help="variants, formats, backends, bundles, targets, pictures or data. Default: all of them."),
    ] = None,
    *,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """List the variants, formats, backends, targets, pictures or data there are, or the bundles that came with it.

    Example:

        aedeploy list variants
    """
    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    listings = {
        "variants": _variants,
        "formats": _formats,
        "backends": _backends,
        "bundles": _bundles,
        "targets": _targets,
        "pictures": _pictures,
        "data": _data,
    }
    if kind is not None and kind not in listings:
        raise UnknownNameError("list", kind, listings)
    chosen = {name: listing() for name, listing in listings.items() if kind in (None, name)}
    output.show(*(_table(name, rows) for name, rows in chosen.items()))
    output.result(chosen)


def _variants() -> Rows:
    from aedeploy.recipes import load_recipe, recipe_names

    recipes = [load_recipe(name) for name in recipe_names()]
    return [{"name": recipe.name, "summary": recipe.summary, "source": recipe.source} for recipe in recipes]


def _formats() -> Rows:
    from aedeploy.names import literals_in, summaries_in
    from aedeploy.runtime.open import backend_of

    rows = []
    for name, summary in summaries_in(_FORMATS).items():
        # Not by importing the writer, which would import torch.
        known = literals_in(_FORMATS, name)
        options = known["OPTIONS"]
        assert isinstance(options, tuple)
        engine = backend_of(name)
        rows.append(
            {
                "name": name,
                "summary": summary,
                "file": str(known["SUFFIX"]),
                "runs it": engine,
                "options": ", ".join(f"--{option}" for option in options) or "–",
                "installed": _installed(engine),
            }
        )
    return rows


def _backends() -> Rows:
    from aedeploy.names import load_named, summaries_in
    from aedeploy.runtime.open import BACKENDS

    rows = []
    for name, summary in summaries_in(BACKENDS).items():
        backend = load_named(BACKENDS, name, "backend")
        runs, devices = ", ".join(backend.FORMATS) or "the weights", ", ".join(backend.DEVICES)
        row = {"name": name, "summary": summary, "runs": runs, "devices": devices, "installed": _installed(name)}
        rows.append(row)
    return rows


def _installed(backend: str) -> str:
    """Whether what a backend needs is there, and else what installs it."""
    from aedeploy.errors import MissingDependencyError
    from aedeploy.runtime.open import load_backend

    try:
        load_backend(backend)
    except MissingDependencyError as error:
        return f"no: pip install 'aedeploy[{error.extra}]'"
    return "yes"


def _bundles() -> Rows:
    from aedeploy.bundle.shipped import shipped_bundle, shipped_names

    rows = []
    for name in shipped_names():
        try:
            bundle = shipped_bundle(name)
        except BundleError as error:
            rows.append({"name": name, "summary": str(error), "formats": "–", "MB": "–", "folder": "–"})
            continue
        formats = dict.fromkeys(graph.variant for graph in bundle.manifest.graphs)
        size = sum(path.stat().st_size for path in bundle.path.rglob("*") if path.is_file())
        rows.append(
            {
                "name": name,
                "summary": bundle.manifest.recipe.get("summary") or "An autoencoder",
                "formats": ", ".join(formats),
                "MB": f"{size / 1e6:.2f}",
                "folder": str(bundle.path),
            }
        )
    return rows


def _targets() -> Rows:
    from aedeploy.names import literals_in, summaries_in

    rows = []
    for name, summary in summaries_in(_TARGETS).items():
        known = literals_in(_TARGETS, name)
        formats = known["FORMATS"]
        assert isinstance(formats, tuple)
        rows.append({"name": name, "summary": summary, "runs": ", ".join(formats), "needs": str(known["NEEDS"])})
    return rows


def _pictures() -> Rows:
    from aedeploy.names import summaries_in
    from aedeploy.pictures.draw import KINDS, kind_named

    rows = []
    for name, summary in summaries_in(KINDS).items():
        choices = kind_named(name).Choices.model_fields
        told = "; ".join(f"{key}={_default(field.default)}: {field.description}" for key, field in choices.items())
        rows.append({"name": name, "summary": summary, "--set": ", ".join(choices) or "–", "choices": told or "–"})
    return rows


def _default(value: object) -> str:
    return "…" if value is None else str(value)


def _data() -> Rows:
    from aedeploy.data import DATA_SETS

    rows = [{"name": name, "summary": summary} for name, summary in DATA_SETS.items()]
    return [*rows, {"name": "PATH", "summary": "a folder of images, a folder of idx files, or an .npz"}]


def _table(title: str, rows: Rows) -> Table:
    # A row is one line: the rest is in --json, and in docs/variants.md, docs/formats.md and docs/embedding.md.
    left_out = {
        "variants": "source",
        "formats": "summary",
        "bundles": "folder",
        "targets": "needs",
        "pictures": "choices",
    }.get(title)
    names = [name for name in rows[0] if name != left_out]
    table = columns(title, names)
    table.columns[0].no_wrap = True
    for row in rows:
        add_row(table, *(row[name] for name in names))
    return table
