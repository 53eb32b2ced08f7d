"""Jobs over graphs of either kind of pixels, and over the formats that a bundle has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.data import digits
from aedeploy.errors import BundleError, ConfigError, UnknownNameError
from aedeploy.export import export_bundle
from aedeploy.jobs.run import Summary
from aedeploy.runtime.codec import load

RunJob = Callable[..., Summary]

IMAGES = 9


@pytest.fixture(scope="module")
def both(exported_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """ONNX and TorchScript graphs of float32 pixels, and ONNX ones of bytes."""
    folder = tmp_path_factory.mktemp("pixels") / "both"
    bundle = open_bundle(shutil.copytree(exported_bundles["denoising"].path, folder))
    return export_bundle(bundle, ["onnx"], pixels="uint8").bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number, pixels in enumerate(digits().held_out[:IMAGES]):
        Image.fromarray(pixels[:, :, 0]).save(tmp_path / f"in/{number}.png")
    return tmp_path / "in"


def latents_in(path: Path) -> np.ndarray:
    table = pyarrow.parquet.read_table(path)
    rows = sorted(zip(table["path"].to_pylist(), table["latent"].to_pylist(), strict=True))
    return np.array([np.ravel(latent) for _, latent in rows], dtype=np.float32)


def pngs_in(path: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path / f"{number}.png")) for number in range(IMAGES)])


def test_latents_of_bytes_are_those_of_floats(run: RunJob, both: Bundle, folder: Path, tmp_path: Path) -> None:
    for kind in ("float32", "uint8"):
        assert run("encode", bundle=both, out=kind, pixels=kind).ok == IMAGES
    floats, bytes_ = (latents_in(tmp_path / kind) for kind in ("float32", "uint8"))
    assert floats.shape == bytes_.shape
    assert np.abs(floats - bytes_).max() < 1e-5 * max(1.0, float(np.abs(floats).max()))


@pytest.mark.parametrize("job", ["reconstruct", "denoise"])
def test_images_of_bytes_are_those_of_floats(run: RunJob, both: Bundle, folder: Path, tmp_path: Path, job: str) -> None:
    for kind in ("float32", "uint8"):
        assert run(job, bundle=both, out=kind, pixels=kind).ok == IMAGES
    floats, bytes_ = (pngs_in(tmp_path / kind).astype(int) for kind in ("float32", "uint8"))
    assert np.abs(floats - bytes_).max() <= 1
    assert np.count_nonzero(floats != bytes_) <= 1


def test_latents_of_either_are_decoded_by_either(run: RunJob, both: Bundle, folder: Path, tmp_path: Path) -> None:
    run("encode", bundle=both, out="latents", pixels="uint8")
    for kind in ("float32", "uint8"):
        assert run("decode", bundle=both, source="latents", out=kind, pixels=kind).ok == IMAGES
    floats, bytes_ = (pngs_in(tmp_path / kind).astype(int) for kind in ("float32", "uint8"))
    assert np.abs(floats - bytes_).max() <= 1


def test_a_bundle_of_bytes_alone_runs_by_itself(run: RunJob, both: Bundle, folder: Path, tmp_path: Path) -> None:
    own = open_bundle(shutil.copytree(both.path, tmp_path / "own"))
    alone = tuple(graph for graph in own.manifest.graphs if graph.pixels == "uint8")
    own = own.save(own.manifest.model_copy(update={"graphs": alone}))
    assert run("reconstruct", bundle=own).ok == IMAGES
    with load(own) as codec, load(both, pixels="float32") as floats:
        images = digits().held_out[:IMAGES]
        assert codec.engine.pixels == "uint8"
        assert codec.decode(codec.encode(images)).dtype == np.uint8
        difference = codec.reconstruct(images).astype(int) - floats.reconstruct(images)
        assert np.abs(difference).max() <= 1
        assert codec.encode([]).shape == (0, *codec.encode(images).shape[1:])


def test_the_format_of_the_graphs_can_be_chosen(run: RunJob, both: Bundle, folder: Path, tmp_path: Path) -> None:
    run("reconstruct", bundle=both, out="onnx", model_format="onnx")
    run("reconstruct", bundle=both, out="torchscript", model_format="torchscript")
    assert np.abs(pngs_in(tmp_path / "onnx").astype(int) - pngs_in(tmp_path / "torchscript")).max() <= 1


def test_what_another_kind_of_graph_began_is_not_gone_on_with(run: RunJob, both: Bundle, folder: Path) -> None:
    run("reconstruct", bundle=both, pixels="float32")
    with pytest.raises(ConfigError, match="another export of the graph"):
        run("reconstruct", bundle=both, pixels="uint8")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"pixels": "uint16"}, ConfigError, "--pixels is one of float32, uint8"),
        ({"model_format": "onxx"}, UnknownNameError, "did you mean 'onnx'"),
        ({"model_format": "onnx-int8"}, BundleError, "no encoder graph in format 'onnx-int8'"),
        (
            {"model_format": "torchscript", "pixels": "uint8"},
            BundleError,
            "export .* --format torchscript --pixels uint8",
        ),
        ({"model_format": "torchscript", "backend": "onnxruntime"}, ConfigError, "not 'torchscript'"),
        ({"backend": "eager", "pixels": "uint8"}, ConfigError, "leave out format and pixels"),
    ],
)
def test_what_cannot_run_says_why(
    run: RunJob, both: Bundle, folder: Path, given: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run("encode", bundle=both, **given)
