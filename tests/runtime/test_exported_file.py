"""One exported file that has left its bundle explains itself, in every format, and nothing in it is run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.errors import BundleError
from aedeploy.names import load_named, names_in
from aedeploy.runtime.exported_file import read_exported_file, suffixes

FORMATS = "aedeploy.export.formats"


@pytest.fixture
def metadata() -> dict[str, str]:
    """What the file of a tiny model says of itself."""
    image = {"channels": 1, "mode": "L", "height": 8, "width": 8, "dynamic_size": False}
    spec = {"name": "image", "dtype": "float32", "shape": ["batch", 1, 8, 8], "minimum": 0.0, "maximum": 1.0}
    contract = {"image": image, "latent": None, "inputs": [spec], "outputs": [{**spec, "name": "reconstruction"}]}
    return {
        "aedeploy.role": "autoencoder",
        "aedeploy.bundle_digest": "0" * 64,
        "aedeploy.contract": json.dumps(contract),
        "aedeploy.recipe": json.dumps({"name": "mine"}),
        "aedeploy.versions": json.dumps({"torch": "2.9.0"}),
    }


def archive(path: Path, content: str, entry: str = "graph/extra/aedeploy.json") -> Path:
    with zipfile.ZipFile(path, "w") as target:
        target.writestr(entry, content)
        target.writestr("graph/data.pkl", b"cos\nsystem\n(S'false'\ntR.")
    return path


def net(path: Path, metadata: dict[str, str], before: str = "") -> Path:
    from xml.sax.saxutils import quoteattr

    ours = "".join(f"<{key.removeprefix('aedeploy.')} value={quoteattr(value)}/>" for key, value in metadata.items())
    path.write_text(f'<?xml version="1.0"?>{before}<net><layers/><rt_info><aedeploy>{ours}</aedeploy></rt_info></net>')
    return path


def layers(path: Path, metadata: dict[str, str]) -> Path:
    ours = f"aedeploy.json {json.dumps(metadata)}\n" if metadata else ""
    path.write_text(f"7767517\n1 1\nInput in0 0 1 image\n{ours}")
    return path


@pytest.fixture(scope="module", params=["standardised-rgb", "vq-vae"])
def everything(
    request: pytest.FixtureRequest, trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """A bundle in every format that can be written here."""
    from aedeploy.export import export_bundle

    folder = tmp_path_factory.mktemp("everything") / "bundle"
    copy = open_bundle(shutil.copytree(trained_bundles[request.param].path, folder))
    writable = [name for name in names_in(FORMATS) if not load_named(FORMATS, name, "format").missing()]
    return export_bundle(copy, writable, parity=False).bundle


@pytest.mark.parametrize("format", names_in(FORMATS))
def test_every_format_carries_its_contract(everything: Bundle, tmp_path: Path, format: str) -> None:
    if load_named(FORMATS, format, "format").missing():
        pytest.skip(f"what writes {format} is not installed")
    exported = everything
    graphs = [graph for graph in exported.manifest.graphs if graph.format == format]
    assert graphs
    for graph in graphs:
        # Alone, under another name, in another folder.
        path = tmp_path / f"ein Graph [{graph.role}]{Path(graph.file.path).suffix}"
        shutil.copy(exported.path / graph.file.path, path)
        found = read_exported_file(path)
        assert (found.role, found.bundle_digest) == (graph.role, exported.manifest.digest)
        assert (found.contract.inputs, found.contract.outputs) == (graph.inputs, graph.outputs)
        assert found.contract.image == exported.manifest.image
        assert found.contract.latent == exported.manifest.latent
        assert found.recipe == exported.manifest.recipe
        assert found.sha256 == graph.file.sha256


def test_no_torch_is_imported_and_no_pickle_read(metadata: dict[str, str], tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pt", json.dumps(metadata))
    program = (
        "import sys, pathlib\n"
        "from aedeploy.runtime.exported_file import read_exported_file\n"
        "assert read_exported_file(pathlib.Path(sys.argv[1])).role == 'autoencoder'\n"
        "assert not {'torch', 'pickle'} & (set(sys.modules) - before), sys.modules.keys()\n"
    )
    # What numpy imports is not the reader's doing.
    program = "import sys, numpy\nbefore = set(sys.modules)\n" + program
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


def test_openvino_structure_is_read_without_openvino(metadata: dict[str, str], tmp_path: Path) -> None:
    found = read_exported_file(net(tmp_path / "a.xml", metadata))
    assert (found.role, found.recipe, found.versions) == ("autoencoder", {"name": "mine"}, {"torch": "2.9.0"})


def test_ncnns_layers_are_read_without_ncnn(metadata: dict[str, str], tmp_path: Path) -> None:
    found = read_exported_file(layers(tmp_path / "a.param", metadata))
    assert (found.role, found.recipe, found.versions) == ("autoencoder", {"name": "mine"}, {"torch": "2.9.0"})


def test_a_document_type_is_refused(metadata: dict[str, str], tmp_path: Path) -> None:
    bomb = '<!DOCTYPE net [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    with pytest.raises(BundleError, match="document type"):
        read_exported_file(net(tmp_path / "a.xml", metadata, before=bomb))


def test_a_file_without_our_metadata_says_so(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    for path in (
        bundle.path / "graphs/onnx/encoder.onnx",
        archive(tmp_path / "a.pt2", "{}"),
        net(tmp_path / "a.xml", {}),
        layers(tmp_path / "a.param", {}),
    ):
        with pytest.raises(BundleError, match="no aedeploy metadata"):
            read_exported_file(path)


@pytest.mark.parametrize("suffix", suffixes())
@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x05\x06" + bytes(18), b"\xff" * 5000], ids=range(4))
def test_what_is_no_such_file_is_one_sentence(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(BundleError) as raised:
        read_exported_file(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"aedeploy.role": "weights"},
        {"aedeploy.contract": "{"},
        {"aedeploy.contract": "[]"},
        {"aedeploy.contract": json.dumps({"image": None})},
        {"aedeploy.recipe": "[1]"},
        {"aedeploy.recipe": "[" * 100_000},
        {"aedeploy.versions": "null"},
    ],
    ids=lambda change: str(change)[:40],
)
def test_metadata_that_make_no_sense_are_refused(
    metadata: dict[str, str], tmp_path: Path, change: dict[str, str]
) -> None:
    path = archive(tmp_path / "a.pt", json.dumps(metadata | change))
    with pytest.raises(BundleError, match="cannot read"):
        read_exported_file(path)


def test_metadata_of_an_immoderate_size_are_not_read(metadata: dict[str, str], tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pt", json.dumps(metadata | {"aedeploy.recipe": " " * 2**23}))
    with pytest.raises(BundleError, match="no aedeploy metadata"):
        read_exported_file(path)


def test_what_is_not_there_or_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="There is no file"):
        read_exported_file(tmp_path / "nonesuch.onnx")
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(BundleError, match=r"ends with \.onnx"):
        read_exported_file(tmp_path / "weights.bin")
