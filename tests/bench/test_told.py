"""Of a denoiser that is told the noise: it is measured with noise, and judged by the images without it."""

from __future__ import annotations

import numpy as np
import pytest
from small_denoiser import SIZE, write_small_denoiser

from aedeploy.bench import BenchReport, benchmark
from aedeploy.bench.quality import golden_reconstructions, originals
from aedeploy.bench.worker import _inputs
from aedeploy.bundle import Bundle
from aedeploy.bundle.golden import load_samples
from aedeploy.export import export_bundle
from aedeploy.images.pixels import to_floats


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    bundle = write_small_denoiser(tmp_path_factory.mktemp("told") / "cut", skips=False)
    for pixels in ("float32", "uint8"):
        bundle = export_bundle(bundle, ["onnx"], pixels=pixels, parity=False).bundle
    return bundle


@pytest.mark.parametrize("role", ["autoencoder", "encoder", "decoder"])
def test_every_row_is_measured_and_loses_nothing(told: Bundle, role: str) -> None:
    variants = [("onnx", "float32"), ("onnx", "uint8")]
    *_, report = benchmark(told, variants, role=role, rounds=1, batch=4, threads=1)  # type: ignore[arg-type]
    assert isinstance(report, BenchReport)
    assert report.reference == "PyTorch (eager, cpu)"
    assert len(report.rows) == 3
    for row in report.rows:
        assert row.measured, row.reason
        assert row.max_error is not None
        assert row.max_error <= (1 / 255 if row.pixels == "uint8" else 1e-5)
        assert row.psnr_lost == pytest.approx(0, abs=1e-2)


def test_what_is_reconstructed_is_noisy_and_what_counts_is_not(told: Bundle) -> None:
    samples = to_floats(load_samples(told.file(told.manifest.golden)))
    images, inputs = originals(told)
    np.testing.assert_array_equal(images, samples)
    assert inputs["image"].shape == images.shape
    assert np.abs(inputs["image"] - images).mean() > 0.01
    assert inputs["sigma"].shape == (len(images), 1, SIZE, SIZE)
    # Where there is no PyTorch, golden vectors say what it made of noisy parts of the same images.
    clean, golden, made = golden_reconstructions(told)
    height, width = made.shape[2:]
    np.testing.assert_array_equal(clean, samples[:3, :, :height, :width])
    quiet = golden["sigma"] < 12
    assert quiet.any()
    assert np.abs(golden["image"] - clean)[quiet].max() < 5 * 12 / 255
    assert np.abs(golden["image"] - clean).mean() > 0.01


def test_decoders_are_timed_with_latents_of_images_of_the_models_own_size(told: Bundle) -> None:
    given = _inputs(told, {"role": "decoder", "pixels": "float32"}, 5)
    assert given["latent"].shape == (5, 12, SIZE // 4, SIZE // 4)
