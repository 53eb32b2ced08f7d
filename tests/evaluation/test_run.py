"""A bundle measured as a whole: against NumPy where the model is known, against training's figures where it is real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import smooth_patterns, write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.errors import BackendError, ConfigError, NothingToDoError
from aedeploy.evaluation import Evaluation, evaluate
from aedeploy.evaluation.find import find_images
from aedeploy.evaluation.gaussian import posterior_sample
from aedeploy.evaluation.images import ArrayImages, EvaluationImages, FileImages
from aedeploy.evaluation.noise import normal_draws
from aedeploy.evaluation.reconstruction import cross_entropy
from aedeploy.evaluation.run import Progress, evaluation
from aedeploy.runtime.codec import load


def with_recipe(bundle: Bundle, **tables: object) -> Bundle:
    recipe = {**bundle.manifest.recipe, **tables}
    return bundle.save(bundle.manifest.model_copy(update={"recipe": recipe}))


def low_pass(images: np.ndarray) -> np.ndarray:
    """What the tiny bundle gives back: float64 [N, 64]."""
    basis = smooth_patterns(8, 4, 1).astype(np.float64)
    return np.clip(images.reshape(len(images), -1) / 255.0 @ basis @ basis.T, 0, 1)


def test_the_figures_of_a_known_model(tiny: Bundle, grey_images: np.ndarray) -> None:
    result = evaluate(tiny, grey_images)
    error = low_pass(grey_images) - grey_images.reshape(300, -1) / 255.0
    assert result.reconstruction.mse == pytest.approx(np.square(error).mean(), rel=1e-5)
    assert result.reconstruction.mae == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert result.latent is not None
    assert (result.latent.shape, result.latent.numbers, result.latent.numbers_ratio) == ((16,), 16, 4.0)
    assert (result.latent.bits, result.latent.compression_ratio) == (512.0, 1.0)
    assert (result.gaussian, result.codebook, result.sparsity, result.denoising) == (None, None, None, ())
    assert (result.data.images, result.data.image_shape, result.failures) == (300, (1, 8, 8), ())


def test_the_baselines_by_numpy(tiny: Bundle, grey_images: np.ndarray) -> None:
    images = EvaluationImages(
        name="mine", part="some", test=ArrayImages(grey_images[200:]), train=ArrayImages(grey_images[:200])
    )
    found = evaluate(tiny, images).baselines
    train, test = (part.reshape(len(part), -1) / 255.0 for part in (grey_images[:200], grey_images[200:]))
    mean = train.mean(axis=0)
    rows = np.linalg.svd(train - mean, full_matrices=False)[2][:16]
    restored = (test - mean) @ rows.T @ rows + mean
    assert found.pca is not None
    assert (found.pca.components, found.pca.bits, found.pca.images, found.pca.held_out) == (16, None, 200, True)
    assert found.pca.mse == pytest.approx(np.square(restored - test).mean())
    assert found.pca.mse_clipped == pytest.approx(np.square(restored.clip(0, 1) - test).mean())
    assert found.pca.psnr == pytest.approx(-10 * np.log10(found.pca.mse))
    assert found.mean_image_mse == pytest.approx(np.square(test - mean).mean())
    assert found.bce_floor == pytest.approx(cross_entropy(test, test).mean())
    assert found.bce_floor_nats == pytest.approx(64 * found.bce_floor)


def test_the_verdict_says_which_is_better_and_by_how_much(tiny: Bundle, grey_images: np.ndarray) -> None:
    # The best that is linear, for images that it was fitted to; and one that shifts all colours.
    result = evaluate(tiny, grey_images)
    assert result.better_than_pca is False
    pca = result.baselines.pca
    assert pca is not None
    assert result.verdict == f"not better than PCA-16: MSE {result.reconstruction.mse:#.3g} against {pca.mse:#.3g}"
    assert "fitted to the images that are measured on" in " ".join(result.notes)
    inverted = EvaluationImages(
        name="mine", part="some", test=ArrayImages(grey_images), train=ArrayImages(grey_images[:3] // 9)
    )
    result = evaluate(tiny, inverted)
    assert result.better_than_pca is True
    assert result.verdict.startswith("better than PCA-2, all that 3 images have: MSE ")
    assert "fitted to the images" not in " ".join(result.notes)


def test_pca_is_left_out_where_it_would_mean_nothing(tiny: Bundle, grey_images: np.ndarray, tmp_path: Path) -> None:
    few = evaluate(tiny, grey_images[:17])
    assert few.baselines.pca is None
    assert few.better_than_pca is None
    assert few.verdict.startswith("not compared with PCA: 17 images")
    assert few.baselines.mean_image_mse is not None
    assert evaluate(tiny, grey_images[:18]).baselines.pca is not None
    whole = write_tiny_bundle(tmp_path / "whole", patterns=8)
    assert "no fewer numbers than the image has values (64)" in evaluate(whole, grey_images).verdict
    without = evaluate(tiny, grey_images, pca=False)
    assert (without.baselines.pca, without.baselines.mean_image_mse) == (None, None)
    assert without.verdict == "not compared with PCA: it was not asked for"
    assert without.reconstruction == evaluate(tiny, grey_images).reconstruction


def test_bce_only_of_probabilities(tiny: Bundle, grey_images: np.ndarray) -> None:
    linear = evaluate(tiny, grey_images)
    assert (linear.reconstruction.bce, linear.baselines.mean_image_bce) == (None, None)
    assert "BCE is left out" in linear.notes[0]
    sigmoid = evaluate(with_recipe(tiny, model={"output": "sigmoid"}), grey_images)
    x, p = grey_images.reshape(300, -1) / 255.0, low_pass(grey_images)
    assert sigmoid.reconstruction.bce == pytest.approx(cross_entropy(x, p).mean(), rel=1e-4)
    assert sigmoid.baselines.mean_image_bce == pytest.approx(cross_entropy(x, x.mean(axis=0)).mean())
    assert sigmoid.reconstruction.bce > sigmoid.baselines.bce_floor
    standardised = with_recipe(tiny, model={"output": "sigmoid", "normalisation": "standard"})
    assert evaluate(standardised, grey_images).reconstruction.bce is None


def test_pixels_that_are_exactly_0_or_1_are_told_of(tiny: Bundle) -> None:
    # A checkerboard of which the low pass goes beyond black and white.
    images = np.where(np.indices((8, 8)).sum(axis=0) // 4 % 2, 255, 3).astype(np.uint8).reshape(1, 8, 8, 1)
    result = evaluate(with_recipe(tiny, model={"output": "sigmoid"}), np.repeat(images, 30, axis=0))
    assert result.reconstruction.bce_clamped is not None
    assert result.reconstruction.bce_clamped > 0.0
    assert "exactly 0 or 1 in the output" in result.notes[0]


def test_a_gaussian_bundle(tmp_path: Path, grey_images: np.ndarray) -> None:
    tables = {"model": {"output": "sigmoid"}, "objective": {"reconstruction": {"loss": "bce"}}}
    bundle = with_recipe(write_tiny_bundle(tmp_path / "tiny", gaussian=True, scale=0.1), **tables)
    result = evaluate(bundle, grey_images, seed=5)
    basis = smooth_patterns(8, 4, 1).astype(np.float64)
    mean = grey_images.reshape(300, -1) / 255.0 @ basis * 0.1
    kl = 0.5 * (mean**2 + np.exp(-mean) - 1 + mean)  # its logvar is −mean
    assert result.gaussian is not None
    assert result.gaussian.kl_nats == pytest.approx(kl.sum() / 300, rel=1e-5)
    assert result.gaussian.kl_by_unit == pytest.approx(kl.mean(axis=0), rel=1e-4, abs=1e-8)
    assert result.gaussian.active_units == (mean.var(axis=0) > 0.01).sum()
    latent = posterior_sample(mean, -mean, normal_draws((300, 16), 0, seed=5, stream=1))
    x, p = grey_images.reshape(300, -1) / 255.0, np.clip(latent @ basis.T / 0.1, 0, 1)
    nats = cross_entropy(x, p.astype(np.float32).astype(np.float64)).sum() / 300
    assert result.gaussian.reconstruction_nats == pytest.approx(nats, rel=1e-3)
    assert result.gaussian.elbo_nats == pytest.approx(-(nats + kl.sum() / 300), rel=1e-3)
    assert evaluate(bundle, grey_images, seed=6).gaussian != result.gaussian
    squared = with_recipe(bundle, **{**tables, "objective": {"reconstruction": {"loss": "mse"}}})
    no_likelihood = evaluate(squared, grey_images).gaussian
    assert no_likelihood is not None
    assert (no_likelihood.elbo_nats, no_likelihood.kl_nats) == (None, result.gaussian.kl_nats)


def test_a_quantised_bundle_is_held_against_as_many_bits(quantised: Bundle, grey_images: np.ndarray) -> None:
    result = evaluate(quantised, grey_images)
    basis = smooth_patterns(8, 4, 1)
    bits = grey_images.reshape(300, -1).astype(np.float32) / np.float32(255) @ basis > 0
    used = len(np.unique(bits, axis=0))
    assert result.codebook is not None
    assert (result.codebook.size, result.codebook.used, result.codebook.indices) == (65_536, used, 1)
    assert result.codebook.bits == pytest.approx(16.0)
    assert result.latent is not None
    assert result.latent.compression_ratio == pytest.approx(8 * 64 / 16)
    assert result.sparsity is None
    pca = result.baselines.pca
    assert pca is not None
    assert (pca.components, pca.bits) == (2, 16)
    values = grey_images.reshape(300, -1) / 255.0
    rows = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)[2][:2]
    coefficients = (values - values.mean(axis=0)) @ rows.T
    exact = np.square(coefficients @ rows + values.mean(axis=0) - values).mean()
    low, step = coefficients.min(axis=0), np.ptp(coefficients, axis=0) / 255
    rounded = low + np.rint((coefficients - low) / step) * step
    assert pca.mse == pytest.approx(np.square(rounded @ rows + values.mean(axis=0) - values).mean())
    assert pca.mse > exact
    assert "the same number of bits (2 coefficients of 8 bits)" in result.verdict


def test_noise_where_it_is_asked_for_or_the_bundle_removes_it(tmp_path: Path, grey_images: np.ndarray) -> None:
    plain, denoising = write_tiny_bundle(tmp_path / "a"), write_tiny_bundle(tmp_path / "b", denoising=True)
    assert evaluate(plain, grey_images).denoising == ()
    assert [figures.sigma for figures in evaluate(denoising, grey_images).denoising] == [0.1, 0.25, 0.5]
    (found,) = evaluate(plain, grey_images, sigmas=[0.2], seed=7).denoising
    clean = grey_images.reshape(300, 64) / 255.0
    noisy = clean + 0.2 * normal_draws((300, 64), 0, seed=7, stream=0)
    basis = smooth_patterns(8, 4, 1)
    output = np.clip(noisy @ basis @ basis.T, 0, 1)
    assert found.noisy_psnr == pytest.approx(-10 * np.log10(np.square(noisy - clean).mean()), abs=1e-4)
    assert found.psnr == pytest.approx(-10 * np.log10(np.square(output - clean).mean()), abs=1e-4)
    # A quarter of the numbers are kept, and of the noise.
    assert found.gain == pytest.approx(10 * np.log10(4), abs=0.3)
    assert evaluate(denoising, grey_images, sigmas=[]).denoising == ()


@pytest.mark.parametrize("sigma", [0.0, -0.1, float("nan"), float("inf")])
def test_a_sigma_that_is_none_is_refused(tiny: Bundle, grey_images: np.ndarray, sigma: float) -> None:
    with pytest.raises(ConfigError, match="no standard deviation"):
        evaluate(tiny, grey_images, sigmas=[sigma])


def test_the_batch_does_not_matter(tmp_path: Path, grey_images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny", denoising=True)
    whole = evaluate(bundle, grey_images)
    monkeypatch.setattr("aedeploy.evaluation.run.auto_batch_size", lambda geometry: 7)
    parts = evaluate(bundle, grey_images)
    assert parts.reconstruction.mse == pytest.approx(whole.reconstruction.mse, rel=1e-6)
    assert parts.reconstruction.ssim == pytest.approx(whole.reconstruction.ssim, rel=1e-6)
    for one, other in zip(parts.denoising, whole.denoising, strict=True):
        assert one.psnr == pytest.approx(other.psnr, rel=1e-6)


def test_a_model_that_cannot_be_cut_is_measured_as_a_whole(tiny: Bundle, grey_images: np.ndarray) -> None:
    graphs = tuple(graph for graph in tiny.manifest.graphs if graph.role == "autoencoder")
    whole = tiny.save(tiny.manifest.model_copy(update={"graphs": graphs, "latent": None}))
    result = evaluate(whole, grey_images)
    assert (result.latent, result.sparsity, result.baselines.pca) == (None, None, None)
    assert "no latent of its own" in result.verdict
    error = low_pass(grey_images) - grey_images.reshape(300, -1) / 255.0
    assert result.reconstruction.mse == pytest.approx(np.square(error).mean(), rel=1e-5)


def test_nan_is_no_figure(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny", broken_at_white=True)
    images = np.full((3, 8, 8, 1), 100, dtype=np.uint8)
    images[2] = 255
    with pytest.raises(BackendError, match="gave NaN or infinity in 'latent'"):
        evaluate(bundle, images)


def test_files_that_are_broken_first_last_and_all(tiny: Bundle, tmp_path: Path) -> None:
    from PIL import Image

    for at in range(1, 5):
        Image.new("L", (8, 8), 40 * at).save(tmp_path / f"{at}.png")
    for name in ("0.png", "9.png"):
        (tmp_path / name).write_text("no image")
    result = evaluate(tiny, find_images(tiny, str(tmp_path)))
    assert result.data.images == 4
    assert [failure.path for failure in result.failures] == ["0.png", "9.png"]
    broken = EvaluationImages(name="broken", part="all", test=FileImages(tmp_path, ("0.png", "9.png")))
    with pytest.raises(NothingToDoError, match=r"None of the images of broken can be read: 0\.png \(it is not"):
        evaluate(tiny, broken)


def test_it_tells_how_far_it_is(tiny: Bundle, grey_images: np.ndarray) -> None:
    *told, last = evaluation(load(tiny), grey_images)
    assert told == [Progress(done=done, total=300) for done in (0, 256, 300)]
    assert isinstance(last, Evaluation)


def test_all_of_it_is_json(quantised: Bundle, grey_images: np.ndarray) -> None:
    result = evaluate(quantised, grey_images, sigmas=[0.1])
    read = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert read["verdict"] == result.verdict
    assert read["denoising"][0]["sigma"] == 0.1


@pytest.fixture(params=["vae", "mlp-32", "denoising"])
def trained(request: pytest.FixtureRequest, exported_bundles: dict[str, Bundle]) -> Bundle:
    """Trained for an epoch on 600 digits, of which 60 are held out."""
    return exported_bundles[request.param]


@pytest.fixture
def held_out(trained: Bundle, tmp_path: Path) -> EvaluationImages:
    from aedeploy.data import digits

    np.savez(tmp_path / "digits.npz", images=digits().train[:600])
    return find_images(trained, str(tmp_path / "digits.npz"))


def test_what_was_held_out_gives_the_figures_of_training(trained: Bundle, held_out: EvaluationImages) -> None:
    result = evaluate(trained, held_out)
    metrics = trained.manifest.metrics
    assert result.data.images == 60
    assert result.reconstruction.mse == pytest.approx(metrics["mse"], rel=1e-4)
    assert result.reconstruction.mae == pytest.approx(metrics["mae"], rel=1e-4)
    assert result.reconstruction.psnr == pytest.approx(metrics["psnr"], rel=1e-4)
    assert (result.reconstruction.bce is None) == ("bce" not in metrics)
    if "bce" in metrics:
        assert result.reconstruction.bce == pytest.approx(metrics["bce"], rel=1e-3)
    assert (result.gaussian is None) == ("kl_nats" not in metrics)
    if result.gaussian is not None:
        assert result.gaussian.kl_nats == pytest.approx(metrics["kl_nats"], rel=1e-3)
        # Other samples of the posterior.
        assert result.gaussian.elbo_nats == pytest.approx(metrics["elbo_nats"], rel=0.02)
        assert result.gaussian.units == 20
    assert bool(result.denoising) == ("denoised_psnr" in metrics)


def test_the_weights_and_what_was_exported_of_them_have_the_same_figures(
    trained: Bundle, held_out: EvaluationImages
) -> None:
    figures = []
    for backend in ("onnxruntime", "eager", "torchscript"):
        with load(trained, backend=backend) as codec:
            figures.append(evaluate(codec, held_out, sigmas=[0.3]).as_dict())
    for other in figures[1:]:
        for family in ("reconstruction", "latent", "gaussian", "baselines"):
            assert_close(figures[0][family], other[family])
        assert_close(figures[0]["denoising"][0], other["denoising"][0])
        assert other["backend"] != figures[0]["backend"]


def assert_close(one: object, other: object) -> None:
    """Whatever figures: within 1e-4."""
    if isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_close(value, other[key])
    elif isinstance(one, list | tuple):
        assert isinstance(other, list | tuple)
        for first, second in zip(one, other, strict=True):
            assert_close(first, second)
    elif isinstance(one, float):
        assert other == pytest.approx(one, rel=1e-4, abs=1e-4)
    else:
        assert one == other
