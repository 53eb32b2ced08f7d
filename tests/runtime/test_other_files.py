"""A graph is what was checked: it takes no other file for its weights, wherever that lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.bundle.store import record_file
from aedeploy.errors import AedeployError
from aedeploy.runtime.exported_file import read_exported_file
from aedeploy.runtime.open import open_graph


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, in which somebody's secret lies."""
    folder = tmp_path / "workplace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def with_weights_in(bundle: Bundle, location: str) -> Bundle:
    """The bundle, its encoder's weights somewhere else, and its manifest as its maker would have it."""
    import onnx

    record = bundle.manifest.graph("encoder", "onnx")
    assert record is not None
    path = bundle.path / record.file.path
    model = onnx.load(path)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "encoder.weight")
    onnx.external_data_helper.set_external_data(weight, location, offset=0, length=len(weight.raw_data))
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    path.write_bytes(model.SerializeToString())
    changed = record.model_copy(update={"file": record_file(bundle.path, record.file.path)})
    return bundle.with_graphs([changed])


@pytest.mark.parametrize("location", ["secret", "../workplace/secret", "{}/secret"])
def test_weights_in_another_file_are_refused(workplace: Path, tmp_path: Path, location: str) -> None:
    (workplace / "secret").write_bytes(np.ones(10_000, np.float32).tobytes())
    bundle = with_weights_in(write_tiny_bundle(tmp_path / "tiny"), location.format(workplace))
    with pytest.raises(AedeployError, match="cannot open"), open_graph(bundle, "encoder"):
        pass
    with pytest.raises(AedeployError, match="cannot be read"):
        read_exported_file(bundle.path / "graphs/onnx/encoder.onnx")


def test_the_same_graph_with_its_weights_inside_runs(workplace: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    with open_graph(bundle, "encoder") as runner:
        assert runner.run({"image": np.zeros((1, 1, 8, 8), np.float32)})["latent"].shape == (1, 16)
