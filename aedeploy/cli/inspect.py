"""``aedeploy inspect``: what a bundle is, and how to call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.options import BundleArgument, Debug, Json, Quiet, Verbose
from aedeploy.cli.tables import add_row, columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from aedeploy.bundle import Bundle, ImageContract, Manifest, TensorSpec


@reporting
def inspect(
    bundle: BundleArgument = None,
    *,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Show what a bundle is and how to call it.

    What goes into its graphs and what comes out, how good it is, where it is from.
    With --json, prints the manifest; its JSON Schema is docs/bundle.schema.json.

    Example:

        aedeploy inspect artifacts/digits-ae
    """
    import json

    from aedeploy.bundle.locate import find_bundle

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = find_bundle(bundle)
    manifest = found.manifest
    metrics = {name: "none" if value is None else f"{value:.6g}" for name, value in manifest.metrics.items()}
    output.show(
        _overview(found),
        *([_calls(manifest)] if manifest.graphs else []),
        _graphs(manifest),
        _pairs("metrics on the held-out images", metrics),
        _pairs("provenance", _provenance(manifest)),
    )
    if verbose:
        output.show(_pairs("recipe", {name: json.dumps(value) for name, value in manifest.recipe.items()}))
    output.result(json.loads(manifest.model_dump_json()))


def _overview(bundle: Bundle) -> Table:
    manifest = bundle.manifest
    recipe = manifest.recipe
    latent = "none: the model cannot be cut"
    if manifest.latent is not None:
        shape = " × ".join(str(size) for size in manifest.latent.shape)
        latent = f"{shape} float32, {manifest.latent.kind}, {manifest.latent.distribution}"
        latent += f", a codebook of {manifest.latent.codebook_size:,}" if manifest.latent.codebook_size else ""
        latent += ", all but some of them 0" if manifest.latent.masked else ""
    rows = {
        "bundle": str(bundle.path),
        "recipe": f"{recipe.get('name', '')}: {recipe.get('summary', '')}",
        "image": _image(manifest.image),
        "latent": latent,
        "weights": f"{manifest.weights.path}, {manifest.weights.bytes / 1e6:.2f} MB",
        "digest": manifest.digest,
    }
    return _pairs(manifest.name, rows)


def _image(image: ImageContract) -> str:
    size = f"{image.height} × {image.width} pixels"
    if image.dynamic_size:
        size = f"height and width any multiple of {image.multiple_of}, from {image.minimum} up (trained at {size})"
    low, high = image.pixel_range
    return f"{image.mode}, {size}, values in [{low:g}, {high:g}], EXIF orientation {image.exif_orientation}"


def _calls(manifest: Manifest) -> Table:
    """What each role takes and gives: the same in every format."""
    table = columns("calls", ("graph", "takes", "gives"))
    for role, graph in {graph.role: graph for graph in manifest.graphs}.items():
        add_row(table, role, _signature(graph.inputs), _signature(graph.outputs))
    return table


def _signature(specs: tuple[TensorSpec, ...]) -> str:
    return "\n".join(f"{spec.name} {spec.dtype} [{', '.join(str(size) for size in spec.shape)}]" for spec in specs)


def _graphs(manifest: Manifest) -> Table:
    from rich.text import Text

    title = "graphs" if manifest.graphs else "graphs: none yet, run  aedeploy export"
    table = columns(title, ("file", "format", "MB", "opset", "parity", "loads in, or newer"), right=("MB", "opset"))
    colours = {"passed": "green", "failed": "red", "unchecked": "yellow"}
    for graph in manifest.graphs:
        add_row(
            table,
            graph.file.path,
            graph.format,
            f"{graph.file.bytes / 1e6:.2f}",
            str(graph.opset or ""),
            Text(graph.parity, style=colours[graph.parity]),
            graph.oldest_runtime or "",
        )
    return table


def _provenance(manifest: Manifest) -> dict[str, str]:
    provenance = manifest.provenance
    rows = {
        "created": provenance.created,
        "platform": provenance.platform,
        "packages": ", ".join(f"{name} {version}" for name, version in provenance.packages.items()),
        "seed": "none" if provenance.seed is None else str(provenance.seed),
    }
    if provenance.data is not None:
        data = provenance.data
        rows["data"] = f"{data.name}: {data.train} images trained on, {data.held_out} held out ({data.split})"
        rows["data digest"] = data.digest
    return rows


def _pairs(title: str, rows: Mapping[str, str]) -> Table:
    from rich.text import Text

    table = columns(title, ("", ""))
    table.show_header = False
    table.columns[0].no_wrap = True
    for name, value in rows.items():
        add_row(table, Text(name, style="bold"), value)
    return table
