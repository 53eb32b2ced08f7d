from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import smooth_patterns, write_tiny_bundle

import aedeploy
from aedeploy.bundle import Bundle, open_bundle
from aedeploy.errors import BackendError, BundleError, ConfigError, ImageError, IntegrityError
from aedeploy.runtime.codec import auto_batch_size, image_geometry, load


@pytest.fixture
def grey(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "grey")


def smooth_images(count: int, size: int = 8, channels: int = 1) -> np.ndarray:
    """uint8 [N, H, W, C] that the tiny model gives back as they are."""
    random = np.random.default_rng(0)
    flat = random.normal(0, 0.2, (count, channels * 16)) @ smooth_patterns(size, 4, channels).T + 0.5
    planes = np.clip(flat, 0, 1).reshape(count, channels, size, size).transpose(0, 2, 3, 1)
    return np.rint(planes * 255).astype(np.uint8)


def test_encode_gives_the_latents_that_the_graph_gives(grey: Bundle) -> None:
    images = smooth_images(5)
    with aedeploy.load(grey.path) as codec:
        latents = codec.encode(images)
    expected = images.reshape(5, -1).astype(np.float32) / 255 @ smooth_patterns(8, 4, 1)
    assert (latents.dtype, latents.shape) == (np.float32, (5, 16))
    assert np.abs(latents - expected).max() < 1e-5


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_decode_and_reconstruct_give_smooth_images_back(tmp_path: Path, mode: str, channels: int) -> None:
    codec = load(write_tiny_bundle(tmp_path / "b", mode=mode))
    images = smooth_images(300, channels=channels)
    decoded = codec.decode(codec.encode(images))
    assert (decoded.dtype, decoded.shape) == (np.uint8, images.shape)
    assert np.abs(decoded.astype(int) - images).mean() < 1
    assert (codec.reconstruct(images) == decoded).all()


def test_images_come_as_paths_pil_images_and_arrays_of_any_size(grey: Bundle, tmp_path: Path) -> None:
    image = Image.fromarray(smooth_images(1)[0, :, :, 0]).resize((30, 20))
    image.save(tmp_path / "a.png")
    latents = load(grey).encode([tmp_path / "a.png", image, np.asarray(image)])
    assert (latents[0] == latents[1]).all()
    assert (latents[0] == latents[2]).all()


def test_of_no_images_there_are_no_latents_of_the_right_shape(grey: Bundle) -> None:
    codec = load(grey)
    assert codec.encode([]).shape == (0, 16)
    assert codec.decode(np.zeros((0, 16), np.float32)).shape == (0, 8, 8, 1)
    assert codec.reconstruct([]).shape == (0, 8, 8, 1)


def test_encode_all_gives_what_else_the_encoder_gives(tmp_path: Path) -> None:
    outputs = load(write_tiny_bundle(tmp_path / "b", gaussian=True)).encode_all(smooth_images(3))
    assert list(outputs) == ["latent", "logvar"]
    assert outputs["logvar"].shape == (3, 16)


def test_many_images_go_through_in_batches_with_the_same_result(grey: Bundle) -> None:
    images = smooth_images(600)
    codec = load(grey)
    assert auto_batch_size(image_geometry(grey)) < len(images)
    together = codec.encode(images)
    apart = np.concatenate([codec.encode(images[start : start + 100]) for start in range(0, 600, 100)])
    assert np.abs(together - apart).max() < 1e-6


def test_a_model_that_does_not_denoise_says_what_to_use(grey: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use reconstruct, or train one with  aedeploy train --variant denoising"):
        load(grey).denoise(smooth_images(1))
    denoising = load(write_tiny_bundle(tmp_path / "d", denoising=True))
    assert denoising.denoise(smooth_images(2)).shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros((2, 16)), "must be one float32 array, and are float64"),
        ([[0.0] * 16], "must be one float32 array, and are list"),
        (np.zeros((2, 15), np.float32), "are [N, 16], and these are [2, 15]"),
        (np.zeros(16, np.float32), "are [N, 16], and these are [16]"),
        (np.array([[0.0] * 16, [np.nan] * 16], np.float32), "row 1 has NaN or infinity"),
        (np.full((1, 16), np.inf, np.float32), "row 0 has NaN or infinity"),
    ],
)
def test_latents_of_another_kind_are_refused(grey: Bundle, latents: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(grey).decode(latents)


def test_an_image_that_cannot_be_read_is_named(grey: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: it cannot be read: No such file"):
        load(grey).encode([tmp_path / "gone.png"])


def test_nan_from_a_graph_is_an_error(tmp_path: Path) -> None:
    codec = load(write_tiny_bundle(tmp_path / "b", broken_at_white=True))
    codec.encode(np.zeros((1, 8, 8), np.uint8))
    white = np.full((1, 8, 8), 255, np.uint8)
    with pytest.raises(BackendError, match="gave NaN or infinity in 'latent'"):
        codec.encode(white)
    with pytest.raises(BackendError, match="gave NaN or infinity"):
        codec.reconstruct(white)


def test_a_model_that_cannot_be_cut_has_no_latents(grey: Bundle) -> None:
    manifest = grey.path / "bundle.json"
    values = json.loads(manifest.read_text())
    values["latent"] = None
    values["graphs"] = [graph for graph in values["graphs"] if graph["role"] == "autoencoder"]
    manifest.write_text(json.dumps(values))
    codec = load(grey.path)
    for call in (lambda: codec.encode(smooth_images(1)), lambda: codec.decode(np.zeros((1, 16), np.float32))):
        with pytest.raises(ConfigError, match="cannot be cut into an encoder and a decoder: it can only reconstruct"):
            call()
    assert codec.reconstruct(smooth_images(1)).shape == (1, 8, 8, 1)


def test_a_graph_that_failed_its_parity_is_run_only_when_told_to(grey: Bundle) -> None:
    failed = [graph.model_copy(update={"parity": "failed"}) for graph in grey.manifest.graphs]
    grey.with_graphs(failed)
    with pytest.raises(BundleError, match="failed its parity check"):
        load(grey.path).encode(smooth_images(1))
    assert load(grey.path, allow_failed=True).encode(smooth_images(1)).shape == (1, 16)


def test_a_graph_that_was_altered_is_not_run(grey: Bundle) -> None:
    graph = grey.path / "graphs/onnx/encoder.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    with pytest.raises(IntegrityError, match=r"encoder\.onnx"):
        load(grey.path).encode(smooth_images(1))


def test_a_bundle_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_bundle(tmp_path / "artifacts/tiny")
    monkeypatch.chdir(tmp_path)
    assert load("tiny").bundle.name == "tiny"
    with pytest.raises(BundleError):
        load("another")


def test_only_the_graphs_in_use_are_opened_and_they_open_once(grey: Bundle) -> None:
    (grey.path / "graphs/onnx/decoder.onnx").unlink()
    codec = load(open_bundle(grey.path))
    codec.encode(smooth_images(1))
    assert codec.open("encoder") is codec.open("encoder")
    with pytest.raises(IntegrityError, match="missing"):
        codec.open("decoder")
