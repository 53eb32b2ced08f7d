"""``aedeploy inspect``: what a bundle is, and how to call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.options import Debug, Json, Quiet, Verbose
from aedeploy.cli.tables import add_row, columns, places_that_fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.table import Table

    from aedeploy.bundle import Bundle, ImageContract, LatentContract, Manifest, NoiseContract, TensorSpec
    from aedeploy.runtime.exported_file import ExportedFile


@reporting
def inspect(
    bundle: Annotated[
        str | None,
        typer.Argument(
            metavar="BUNDLE|FILE",
            help="A bundle's folder, its name in artifacts/, or one exported file. Default: the newest bundle there.",
        ),
    ] = None,
    *,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Show what a bundle is and how to call it.

    What goes into its graphs and what comes out, how good it is, where it is from. --verbose adds the recipe and every
    package that took part. With --json, prints the manifest; its JSON Schema is docs/bundle.schema.json.

    An exported file that has left its bundle says the same of itself, whatever its format.

    Examples:

        aedeploy inspect artifacts/digits-ae

        aedeploy inspect encoder.onnx
    """
    import json

    from aedeploy.bundle.locate import find_bundle

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    path = _exported_file(bundle)
    if path is not None:
        _inspect_file(path, output)
        return
    found = find_bundle(bundle)
    manifest = found.manifest
    output.show(*_tables(found, output.width))
    if verbose:
        output.show(*_details(manifest))
    output.result(json.loads(manifest.model_dump_json()))


def _exported_file(named: str | None) -> Path | None:
    """What is named, where it is one file and no bundle."""
    from pathlib import Path

    from aedeploy.bundle.store import MANIFEST_FILE
    from aedeploy.runtime.exported_file import suffixes

    if named is None:
        return None
    path = Path(named)
    is_file = path.is_file() and path.name != MANIFEST_FILE
    return path if is_file or (path.suffix.lower() in suffixes() and not path.exists()) else None


def _inspect_file(path: Path, output: Output) -> None:
    from aedeploy.runtime.exported_file import read_exported_file

    found = read_exported_file(path)
    calls = columns("call", ("graph", "takes", "gives"))
    add_row(calls, found.role, _signature(found.contract.inputs), _signature(found.contract.outputs))
    output.show(_pairs(path.name, _file_overview(found)), calls)
    if output.verbose:
        output.show(_recipe(found.recipe), _pairs("written with", found.versions))
    output.result(found.as_dict())


def _file_overview(file: ExportedFile) -> dict[str, str]:
    return {
        "recipe": f"{file.recipe.get('name', '')}: {file.recipe.get('summary', '')}",
        "image": _image(file.contract.image),
        "latent": _latent(file.contract.latent),
        **_noise(file.contract.noise),
        "size": f"{file.bytes:,} bytes",
        "sha256": file.sha256,
        "bundle digest": file.bundle_digest,
    }


def _tables(bundle: Bundle, width: int) -> Iterator[Table]:
    manifest = bundle.manifest
    metrics = {name: "none" if value is None else f"{value:.6g}" for name, value in manifest.metrics.items()}
    yield _overview(bundle)
    if manifest.graphs:
        yield _calls(manifest)
    yield _graphs(manifest, width)
    for title, rows in (("quantisation", _quantisation(manifest)), ("tolerances asked for", _tolerances(manifest))):
        if rows:
            yield _pairs(title, rows)
    if metrics:
        yield _pairs("metrics on the held-out images", metrics)
    yield _pairs("provenance", _provenance(manifest))


def _details(manifest: Manifest) -> Iterator[Table]:
    yield _recipe(manifest.recipe)
    for what, packages in _by_software(manifest).items():
        yield _pairs(f"software of {what}", {"": ", ".join(f"{name} {version}" for name, version in packages.items())})


def _by_software(manifest: Manifest) -> dict[str, dict[str, str]]:
    """What took part, those with the same packages in one row."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for what, packages in manifest.software.items():
        found.setdefault(tuple(packages.items()), []).append(what)
    return {", ".join(names): dict(packages) for packages, names in found.items()}


def _recipe(recipe: Mapping[str, object]) -> Table:
    import json

    return _pairs("recipe", {name: json.dumps(value) for name, value in recipe.items()})


def _overview(bundle: Bundle) -> Table:
    manifest = bundle.manifest
    recipe = manifest.recipe
    rows = {
        "bundle": str(bundle.path),
        "recipe": f"{recipe.get('name', '')}: {recipe.get('summary', '')}",
        "image": _image(manifest.image),
        **({"full size": str(manifest.any_size)} if manifest.any_size else {}),
        "latent": _latent(manifest.latent),
        **_noise(manifest.noise),
        "weights": f"{manifest.weights.path}, {_megabytes(manifest.weights.bytes)} MB",
        "digest": manifest.digest,
    }
    return _pairs(manifest.name, rows)


def _image(image: ImageContract) -> str:
    size = f"{image.height} × {image.width} pixels"
    if image.dynamic_size:
        size = f"height and width any multiple of {image.multiple_of}, from {image.minimum} up (trained at {size})"
    low, high = image.pixel_range
    return f"{image.mode}, {size}, values in [{low:g}, {high:g}], EXIF orientation {image.exif_orientation}"


def _latent(contract: LatentContract | None) -> str:
    if contract is None:
        return "none: the model cannot be cut"
    shape = " × ".join(str(size) for size in contract.shape)
    latent = f"{shape} float32, {contract.kind}, {contract.distribution}"
    latent += f", a codebook of {contract.codebook_size:,}" if contract.codebook_size else ""
    return latent + (", all but some of them 0" if contract.masked else "")


def _noise(contract: NoiseContract | None) -> dict[str, str]:
    """A row, of a model that is told the noise."""
    if contract is None:
        return {}
    return {"noise": f"told as sigma, its standard deviation in {contract.unit}, from 0 to {contract.maximum:g}"}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f}" if size >= 1e5 else f"{size / 1e6:.4f}"


def _calls(manifest: Manifest) -> Table:
    """What each role takes and gives: the same in every format, but for how pixels come."""
    table = columns("calls", ("graph", "takes", "gives"))
    for (role, pixels), graph in {(graph.role, graph.pixels): graph for graph in manifest.graphs}.items():
        name = role if pixels == "float32" else f"{role} ({pixels})"
        add_row(table, name, _signature(graph.inputs), _signature(graph.outputs))
    return table


def _signature(specs: tuple[TensorSpec, ...]) -> str:
    return "\n".join(f"{spec.name} {spec.dtype} [{', '.join(str(size) for size in spec.shape)}]" for spec in specs)


def _graphs(manifest: Manifest, width: int) -> Table:
    from rich.text import Text

    title = "graphs" if manifest.graphs else "graphs: none yet, run  aedeploy export"
    colours = {"passed": "green", "failed": "red", "unchecked": "yellow"}
    names = ("file", "variant", "MB", "opset", "parity", "loads in, or newer")
    rows = []
    for graph in manifest.graphs:
        files = [file for file in (graph.file, graph.data) if file is not None]
        rows.append(
            (
                "\n".join(file.path for file in files),
                graph.variant,
                "\n".join(_megabytes(file.bytes) for file in files),
                str(graph.opset or ""),
                Text(graph.parity, style=colours[graph.parity]),
                graph.oldest_runtime or "",
            )
        )
    whole = ("file", "MB", "opset")
    # A file's path says its variant too.
    places = places_that_fit(names, rows, width, right=whole, spare=("variant", "opset", "loads in, or newer"))
    table = columns(title, [names[place] for place in places], right=whole[1:])
    table.columns[0].no_wrap = True
    for row in rows:
        add_row(table, *(row[place] for place in places))
    return table


def _quantisation(manifest: Manifest) -> dict[str, str]:
    """How graphs compute that do not in float32 throughout, and what that cost."""
    rows = {}
    for graph in manifest.graphs:
        found = graph.quantisation
        if found is None:
            continue
        parts: list[str] = [found.precision]
        if found.psnr is not None:
            parts.append(f"{found.psnr:.1f} dB against float32")
        if found.calibration is not None:
            parts.append(f"ranges by {found.calibration} of {found.calibration_images or 'some'} images")
        if found.reduced_range:
            parts.append("weights of 7 bits")
        if found.float_layers:
            parts.append(f"left in float32: {_some(found.float_layers)}")
        rows[f"{graph.variant} {graph.role}"] = ", ".join(parts)
    return rows


def _tolerances(manifest: Manifest) -> dict[str, str]:
    return {
        f"{graph.variant} {graph.role}": ", ".join(f"{name} {value:g}" for name, value in graph.tolerances.items())
        for graph in manifest.graphs
        if graph.tolerances
    }


def _some(names: Sequence[str], shown: int = 3) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


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
