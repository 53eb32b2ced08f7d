"""From a bundle, a role and a backend's name to a runner, or to a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.errors import (
    BackendError,
    BundleError,
    ConfigError,
    IntegrityError,
    MissingDependencyError,
    UnknownNameError,
)
from aedeploy.names import load_named
from aedeploy.runtime.open import BACKENDS, backend_names, backend_of, default_backend, load_backend, open_graph


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


def with_parity(bundle: Bundle, role: str, parity: str) -> Bundle:
    return bundle.with_graphs([bundle.graph(role, "onnx").model_copy(update={"parity": parity})])


def test_the_backends_of_the_first_release_are_there() -> None:
    assert {"eager", "onnxruntime", "torchscript"} <= set(backend_names())


@pytest.mark.parametrize("name", backend_names())
def test_every_backend_keeps_the_contract_of_its_folder(name: str) -> None:
    backend = load_named(BACKENDS, name, "backend")
    assert isinstance(backend.FORMATS, tuple)
    assert all(backend_of(format) == name for format in backend.FORMATS)
    assert "cpu" in backend.DEVICES
    assert backend.missing() is None or isinstance(backend.missing(), str)
    assert callable(backend.open_graph)
    assert backend.__doc__


@pytest.mark.parametrize(
    ("name", "nearest"), [("onnx", "onnxruntime"), ("onnx-runtime", "onnxruntime"), ("egaer", "eager")]
)
def test_an_unknown_backend_comes_with_the_nearest(bundle: Bundle, name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"There is no backend '{name}' .did you mean '{nearest}'"):
        open_graph(bundle, "encoder", backend=name)


def test_a_backend_that_is_not_installed_comes_with_the_install_line(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_named(BACKENDS, "torchscript", "backend"), "missing", lambda: "torch")
    with pytest.raises(
        MissingDependencyError, match=r"The backend 'torchscript' needs .* pip install 'aedeploy\[train\]'"
    ):
        load_backend("torchscript")


@pytest.mark.parametrize("device", ["mps", "tpu", "CPU", ""])
def test_a_device_that_a_backend_does_not_know_is_refused(bundle: Bundle, device: str) -> None:
    with pytest.raises(ConfigError, match=f"'onnxruntime' runs on cpu, cuda, not on '{device}'"):
        open_graph(bundle, "encoder", device=device)


def test_the_default_is_onnxruntime_where_it_has_graphs(bundle: Bundle) -> None:
    assert default_backend(bundle) == "onnxruntime"


def test_the_default_is_another_where_only_that_has_graphs(bundle: Bundle) -> None:
    graphs = tuple(graph.model_copy(update={"format": "torchscript"}) for graph in bundle.manifest.graphs)
    assert default_backend(bundle.save(bundle.manifest.model_copy(update={"graphs": graphs}))) == "torchscript"


def test_a_bundle_without_graphs_says_how_to_get_them(bundle: Bundle) -> None:
    emptied = bundle.save(bundle.manifest.model_copy(update={"graphs": ()}))
    with pytest.raises(BackendError, match=r"has no exported graph yet: run  aedeploy export .* --format onnx"):
        default_backend(emptied)


def test_a_bundle_of_an_unknown_format_says_which(bundle: Bundle) -> None:
    graphs = tuple(graph.model_copy(update={"format": "carved-stone"}) for graph in bundle.manifest.graphs)
    with pytest.raises(BackendError, match="has graphs for carved-stone only"):
        default_backend(bundle.save(bundle.manifest.model_copy(update={"graphs": graphs})))


def test_a_graph_that_failed_parity_is_refused_unless_allowed(bundle: Bundle) -> None:
    failed = with_parity(bundle, "decoder", "failed")
    with pytest.raises(BundleError, match="failed its parity check"):
        open_graph(failed, "decoder")
    with open_graph(failed, "decoder", allow_failed=True) as runner:
        assert runner.outputs[0].name == "image"
    with open_graph(failed, "encoder") as runner:
        assert runner.outputs[0].name == "latent"


def test_a_graph_that_was_not_checked_is_run(bundle: Bundle) -> None:
    with open_graph(with_parity(bundle, "encoder", "unchecked"), "encoder") as runner:
        assert runner.run({"image": np.zeros((1, 1, 8, 8), np.float32)})["latent"].shape == (1, 16)


def test_a_graph_that_was_altered_is_refused(bundle: Bundle) -> None:
    path = bundle.path / "graphs/onnx/encoder.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match=r"graphs/onnx/encoder\.onnx of bundle 'tiny'"):
        open_graph(bundle, "encoder")
