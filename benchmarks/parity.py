"""``make parity``: every recipe in every format that can be written here, of either kind of pixels, against PyTorch.

Writes docs/parity.md. The models are those that come with the package and those of ``make results``; a recipe that is
in neither place is trained on the embedded digits. What is done is kept in artifacts/parity and not done again as long
as weights and versions are the same.

    python benchmarks/parity.py [--only RECIPE]…
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from parity_page import write_page

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.manifest import Pixels, variant_name
from aedeploy.bundle.shipped import shipped_path
from aedeploy.errors import AedeployError
from aedeploy.export import export_bundle
from aedeploy.export.run import FORMATS, format_names
from aedeploy.names import load_named
from aedeploy.parity.check import check_parity
from aedeploy.parity.report import GraphResult
from aedeploy.recipes import recipe_names

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("aedeploy")
TRAINED = ROOT / "artifacts" / "results"
KEPT = ROOT / "artifacts" / "parity"
PAGE = ROOT / "docs" / "parity.md"
PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript", "openvino", "ncnn", "pnnx")


def main() -> None:
    """Do what is not done yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[])
    asked = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = {name: json.loads(path.read_text()) for name in recipe_names() if (path := _kept(name)).is_file()}
    for recipe in asked.only or recipe_names():
        bundle = trained(recipe)
        state = {"weights": bundle.manifest.weights.sha256, "packages": {name: _version(name) for name in PACKAGES}}
        if kept.get(recipe, {}).get("state") != state:
            print(f"{recipe} …", file=sys.stderr, flush=True)
            kept[recipe] = {"state": state, **measure(bundle)}
            _kept(recipe).write_text(json.dumps(kept[recipe]))
        write_page(PAGE, {name: kept[name] for name in recipe_names() if name in kept})


def _kept(recipe: str) -> Path:
    return KEPT / f"{recipe}.json"


def trained(recipe: str) -> Bundle:
    """The one that comes with the package, that of ``make results``, or one that is trained here."""
    shipped = shipped_path(recipe)
    if shipped is not None:
        return open_bundle(shipped)
    if (TRAINED / recipe / "bundle.json").is_file():
        return open_bundle(TRAINED / recipe)
    own = KEPT / "trained" / recipe
    if not (own / "bundle.json").is_file():
        subprocess.run(
            [COMMAND, "train", f"--variant={recipe}", f"--out={own}", "--epochs=3", "--device=cpu", "-q"], check=True
        )
    return open_bundle(own)


def measure(source: Bundle) -> dict[str, Any]:
    """Export a copy in everything, and compare all of it."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = open_bundle(shutil.copytree(source.path, Path(folder) / "bundle"))
        bundle = bundle.save(bundle.manifest.model_copy(update={"graphs": ()}))
        refused = {}
        for pixels in get_args(Pixels):
            for format in format_names():
                if load_named(FORMATS, format, "format").missing():
                    continue
                try:
                    bundle = export_bundle(bundle, [format], pixels=pixels, parity=False).bundle
                except AedeployError as error:
                    refused[variant_name(format, pixels)] = str(error)
        report = check_parity(bundle)
    return {
        "data": source.manifest.provenance.data.name if source.manifest.provenance.data else None,
        "refused": refused,
        "graphs": [summary(graph) for graph in report.graphs],
        "files": [
            {
                "variant": graph.variant,
                "role": graph.role,
                "bytes": graph.file.bytes + (graph.data.bytes if graph.data else 0),
                "quantisation": graph.quantisation.model_dump(mode="json") if graph.quantisation else None,
            }
            for graph in bundle.manifest.graphs
        ],
    }


def summary(graph: GraphResult) -> dict[str, Any]:
    """What the page says of a graph; the whole report would be long."""
    whole = graph.as_dict()
    kept = ("role", "format", "pixels", "decoder", "passed", "reason", "changed_pixels_share", "psnr", "relative")
    return {
        **{key: whole[key] for key in kept},
        **{key: whole[key] for key in ("decided_otherwise", "decisions", "gap")},
        "variant": graph.variant,
        "max_abs": {found.output: found.max_abs for found in graph.worst()},
        "comparisons": len(graph.cases),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ModuleNotFoundError:
        return None


if __name__ == "__main__":
    main()
