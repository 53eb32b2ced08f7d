"""The same weights and the same versions give the same bytes: wherever, under whatever name, in whatever order.

Two processes with different seeds of Python's hashes export copies of the same bundles, of different names, in
different folders, the formats in opposite orders.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.names import load_named, names_in
from aedeploy.runtime.exported_file import read_exported_file

FORMATS = "aedeploy.export.formats"
#: A codebook, and images of any size; a normalisation inside the graph, and a latent vector.
BUNDLES = ("vq-vae", "standardised-rgb")

#: onnxruntime writes the tables of its own format in an order that changes from run to run, even in one process.
UNORDERED = {"ort"}

_PROGRAM = """
import sys
from aedeploy.bundle import open_bundle
from aedeploy.export import export_bundle
for path in sys.argv[2:]:
    export_bundle(open_bundle(path), sys.argv[1].split(","), parity=False)
    export_bundle(open_bundle(path), ["onnx"], pixels="uint8", parity=False)
"""


def writable() -> list[str]:
    return [name for name in names_in(FORMATS) if not load_named(FORMATS, name, "format").missing()]


@pytest.fixture(scope="module")
def both(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> list[list[Bundle]]:
    """The bundles as one process has exported them, and as the other has."""
    places = [tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second") / "ein Ordner, und tiefer"]
    processes, copies = [], []
    for place, prefix, seed in ((places[0], "", "1"), (places[1], "Kopie von ", "4242")):
        paths = [place / f"{prefix}{name}" for name in BUNDLES]
        for path, name in zip(paths, BUNDLES, strict=True):
            copied = open_bundle(shutil.copytree(trained_bundles[name].path, path))
            copied.save(copied.manifest.model_copy(update={"name": path.name}))
        formats = ",".join(writable() if seed == "1" else reversed(writable()))
        command = [sys.executable, "-c", _PROGRAM, formats, *map(str, paths)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        processes.append(subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True))
        copies.append(paths)
    for process in processes:
        assert process.communicate()[1] is not None
        assert process.returncode == 0
    return [[open_bundle(path) for path in paths] for paths in copies]


def digests(bundle: Bundle, format: str) -> dict[str, str]:
    folder = bundle.path / "graphs" / format
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("format", [name for name in names_in(FORMATS) if name not in UNORDERED])
def test_the_same_model_gives_the_same_bytes(both: list[list[Bundle]], format: str) -> None:
    if format not in writable():
        pytest.skip(f"what writes {format} is not installed")
    for one, other in zip(*both, strict=True):
        assert one.name != other.name
        found = digests(one, format)
        assert found
        assert found == digests(other, format)


def test_both_kinds_of_pixels_were_compared(both: list[list[Bundle]]) -> None:
    for bundle in both[0]:
        assert {"encoder.onnx", "encoder.uint8.onnx"} <= set(digests(bundle, "onnx"))


@pytest.mark.parametrize("format", sorted(UNORDERED))
def test_what_has_no_order_still_says_and_is_the_same(both: list[list[Bundle]], format: str) -> None:
    for one, other in zip(*both, strict=True):
        for graph in (graph for graph in one.manifest.graphs if graph.format == format):
            twin = other.manifest.graph(graph.role, format)
            assert twin is not None
            assert graph.file.bytes == twin.file.bytes
            said = [read_exported_file(bundle.path / graph.file.path).as_dict() for bundle in (one, other)]
            assert [{**each, "sha256": None} for each in said[:1]] == [{**each, "sha256": None} for each in said[1:]]


def test_nothing_in_a_file_names_where_it_was_made(both: list[list[Bundle]]) -> None:
    for bundle in both[1]:
        hidden = [str(bundle.path.parent).encode(), bundle.name.encode(), str(Path.home()).encode() + b"/"]
        for path in (bundle.path / "graphs").rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            assert not [text for text in hidden if text in content], path


def test_the_manifest_lists_what_took_part(both: list[list[Bundle]]) -> None:
    import torch

    for bundle in both[0]:
        software = bundle.manifest.software
        assert set(software) == {"training", "onnx uint8", *writable()}
        for packages in software.values():
            assert packages["torch"] == torch.__version__.partition("+")[0]
            assert {"python", "aedeploy", "numpy", "onnx", "safetensors", "pydantic-core"} <= set(packages)
            assert not any("/" in text or "\\" in text for pair in packages.items() for text in pair)
        for graph in bundle.manifest.graphs:
            written_by = {name.replace("_", "-").lower() for name in graph.producer}
            assert written_by <= set(software[graph.variant])
