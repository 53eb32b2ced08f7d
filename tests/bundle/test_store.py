"""A bundle is valid at every instant, and a file that is not the recorded one is never used."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.store import MANIFEST_FILE, record_file
from aedeploy.errors import BundleError, IntegrityError, ManifestError

MakeBundle = Callable[..., Bundle]


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    return make_bundle()


def refuse(bundle: Bundle, name: str, reason: str) -> None:
    """Assert that the record of that file is refused with its name and the reason."""
    (record,) = [record for record in bundle.files() if record.path == name]
    with pytest.raises(IntegrityError, match=reason) as caught:
        bundle.file(record)
    assert str(caught.value).startswith(f"{name} of bundle 'paper'")


def test_every_recorded_file_is_found(bundle: Bundle) -> None:
    names = [record.path for record in bundle.files()]
    assert names[:2] == ["weights.safetensors", "golden.safetensors"]
    assert len(names) == 5
    for record in bundle.files():
        assert bundle.file(record) == bundle.path / record.path


@pytest.mark.parametrize("name", ["weights.safetensors", "golden.safetensors", "graphs/onnx/encoder.bin"])
class TestAFileThatIsNotTheRecordedOne:
    def test_missing(self, bundle: Bundle, name: str) -> None:
        (bundle.path / name).unlink()
        refuse(bundle, name, "is missing")

    def test_a_folder_in_its_place(self, bundle: Bundle, name: str) -> None:
        (bundle.path / name).unlink()
        (bundle.path / name).mkdir()
        refuse(bundle, name, "is missing")

    def test_truncated(self, bundle: Bundle, name: str) -> None:
        content = (bundle.path / name).read_bytes()
        (bundle.path / name).write_bytes(content[:-1])
        refuse(bundle, name, f"has {len(content) - 1} bytes where the manifest says {len(content)}")

    def test_empty(self, bundle: Bundle, name: str) -> None:
        (bundle.path / name).write_bytes(b"")
        refuse(bundle, name, "has 0 bytes")

    def test_altered_by_one_bit(self, bundle: Bundle, name: str) -> None:
        content = bytearray((bundle.path / name).read_bytes())
        content[3] ^= 1
        (bundle.path / name).write_bytes(content)
        refuse(bundle, name, "was altered")

    def test_a_link_out_of_the_bundle_to_the_very_same_content(self, bundle: Bundle, name: str) -> None:
        outside = bundle.path.parent / "outside"
        (bundle.path / name).rename(outside)
        (bundle.path / name).symlink_to(outside)
        refuse(bundle, name, "leads out of the bundle")

    def test_a_link_to_itself(self, bundle: Bundle, name: str) -> None:
        (bundle.path / name).unlink()
        (bundle.path / name).symlink_to(bundle.path / name)
        refuse(bundle, name, "is missing|leads out of the bundle")


def test_another_file_of_the_bundle_under_its_name_is_refused(bundle: Bundle) -> None:
    folder = bundle.path / "graphs/onnx"
    assert (folder / "encoder.bin").stat().st_size == (folder / "decoder.bin").stat().st_size
    os.replace(folder / "decoder.bin", folder / "encoder.bin")
    refuse(bundle, "graphs/onnx/encoder.bin", "was altered")


def test_a_linked_folder_out_of_the_bundle_is_refused(bundle: Bundle) -> None:
    outside = bundle.path.parent / "outside"
    (bundle.path / "graphs").rename(outside)
    (bundle.path / "graphs").symlink_to(outside, target_is_directory=True)
    refuse(bundle, "graphs/onnx/encoder.bin", "leads out of the bundle")


def test_a_bundle_reached_through_a_link_is_fine(bundle: Bundle, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(bundle.path, target_is_directory=True)
    opened = open_bundle(link)
    assert opened.file(opened.manifest.weights).read_bytes() == b"weights of paper"


def test_a_missing_graph_is_named_with_the_command_that_makes_it(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no decoder graph in format 'torchscript'") as caught:
        bundle.graph("decoder", "torchscript")
    assert "it has decoder graphs as onnx" in str(caught.value)
    assert f"aedeploy export {bundle.path} --format torchscript" in str(caught.value)


def test_a_role_that_was_never_exported_is_said_so(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="it has no autoencoder graph yet"):
        bundle.graph("autoencoder", "onnx")


def test_a_graph_that_failed_parity_is_refused_unless_allowed(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"failed its parity check.*--allow-failed"):
        bundle.graph("encoder", "torchscript")
    assert bundle.graph("encoder", "torchscript", allow_failed=True).parity == "failed"


def test_recorded_graphs_replace_those_of_the_same_role_and_format_only(bundle: Bundle) -> None:
    (bundle.path / "graphs/onnx/encoder.bin").write_bytes(b"a new encoder")
    old = bundle.graph("encoder", "onnx")
    new = old.model_copy(update={"file": record_file(bundle.path, old.file.path)})
    changed = bundle.with_graphs([new])
    assert open_bundle(bundle.path) == changed
    assert changed.file(changed.graph("encoder", "onnx").file).read_bytes() == b"a new encoder"
    assert changed.graph("decoder", "onnx") == bundle.graph("decoder", "onnx")
    assert len(changed.manifest.graphs) == len(bundle.manifest.graphs)


def test_the_order_of_exports_does_not_show(bundle: Bundle) -> None:
    graphs = bundle.manifest.graphs
    emptied = bundle.manifest.model_copy(update={"graphs": ()})
    forwards = bundle.save(emptied).with_graphs(graphs).manifest
    backwards = bundle.save(emptied).with_graphs(reversed(graphs)).manifest
    assert forwards == backwards


def test_a_manifest_that_cannot_be_replaced_stays_as_it_was(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        bundle.save(bundle.manifest.model_copy(update={"name": "other"}))
    assert open_bundle(bundle.path) == bundle
    assert sorted(os.listdir(bundle.path)) == ["bundle.json", "golden.safetensors", "graphs", "weights.safetensors"]


@pytest.mark.parametrize("as_text", [True, False])
def test_a_bundle_is_opened_by_its_folder_or_its_manifest(bundle: Bundle, as_text: bool) -> None:
    for path in (bundle.path, bundle.path / MANIFEST_FILE):
        assert open_bundle(str(path) if as_text else path) == bundle


def test_what_is_no_bundle_is_said_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such folder"):
        open_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"it has no bundle\.json"):
        open_bundle(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match=r"it has no bundle\.json"):
        open_bundle(tmp_path / "file")


def test_a_manifest_in_another_encoding_is_damaged(bundle: Bundle) -> None:
    text = json.dumps(json.loads((bundle.path / MANIFEST_FILE).read_text()))
    (bundle.path / MANIFEST_FILE).write_bytes(text.encode("utf-16"))
    with pytest.raises(ManifestError, match="is not JSON"):
        open_bundle(bundle.path)
