"""Denoising measured by the protocol: each step of it by hand, on images so small that one can."""

from __future__ import annotations

import csv
import json
from math import inf, log10
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle
from tiny_denoiser import cleaned, write_tiny_denoiser

from aedeploy.errors import BackendError, ConfigError, NothingToDoError, UnknownNameError
from aedeploy.evaluation.denoising import evaluate_denoising
from aedeploy.evaluation.denoising.methods import BundleMethod, Setup
from aedeploy.evaluation.denoising.protocol import noisy_image, psnr, rounded, similarity
from aedeploy.evaluation.denoising.result import NOISY, Row, summarised
from aedeploy.evaluation.denoising.run import Calls, DenoisingOptions, denoising_evaluation, measured
from aedeploy.images.noise_level import estimated_sigma
from aedeploy.runtime.codec import Codec, load
from aedeploy.runtime.full_size import FullSize


@pytest.fixture
def grey(tmp_path: Path) -> Codec:
    """Told σ, it mixes an image with its mean over 3×3 pixels."""
    return load(write_tiny_denoiser(tmp_path / "grey"), pixels="float32")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two grey images and one in colours, of three sizes, none a multiple of what the model takes."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(scene(29, 33)).save(folder / "a.png")
    Image.fromarray(scene(18, 41)).save(folder / "sub" / "c.png")
    Image.fromarray(np.stack([scene(23, 31), scene(23, 31)[::-1], scene(23, 31)[:, ::-1]], axis=2)).save(
        folder / "b.png"
    )
    return folder


def scene(height: int, width: int) -> np.ndarray:
    """uint8 [height, width]: a slope with an edge in it, and black and white."""
    ys, xs = np.mgrid[0:height, 0:width]
    slope = 255.0 * (ys + xs) / (height + width - 2)
    return np.where(xs > width // 2, 255 - slope, slope).astype(np.uint8)


def test_the_noise_is_seeded_anew_for_each_image_and_not_clipped() -> None:
    clean = scene(20, 30)[:, :, None]
    draws = np.random.default_rng(7).standard_normal((20, 30, 1))
    noisy = noisy_image(clean, 50.0, seed=7)
    assert (noisy.dtype, noisy.shape) == (np.float32, (20, 30, 1))
    np.testing.assert_allclose(noisy, clean / 255 + draws * 50 / 255, rtol=0, atol=1e-6)
    assert noisy.min() < -0.05
    assert noisy.max() > 1.0
    black = noisy_image(np.zeros_like(clean), 50.0, seed=7)
    np.testing.assert_allclose(noisy - black, clean / 255, atol=1e-6)
    assert (noisy_image(clean, 50.0, seed=8) != noisy).any()


def test_what_comes_out_is_clipped_and_rounded_to_the_nearest() -> None:
    given = np.array([-0.3, 0.0, 0.4 / 255, 0.6 / 255, 100.4 / 255, 100.6 / 255, 1.0, 1.7], np.float32)
    assert rounded(given).tolist() == [0, 0, 0, 1, 100, 101, 255, 255]
    assert rounded(given).dtype == np.uint8
    assert rounded(np.array([3, 250], np.uint8)).tolist() == [3, 250]


def test_the_psnr_by_hand() -> None:
    clean = np.array([[[10, 20, 30]], [[40, 50, 60]]], np.uint8)
    other = np.array([[[13, 20, 30]], [[40, 46, 60]]], np.uint8)
    # 3² + 4² over six values of both pixels and all channels.
    assert psnr(clean, other) == pytest.approx(10 * log10(255**2 / (25 / 6)))
    assert psnr(other, clean) == psnr(clean, other)
    assert psnr(clean, clean) == inf
    assert similarity(clean, clean) == pytest.approx(1.0)
    assert similarity(clean, other) < 1.0


def test_the_figures_are_those_of_the_graph_on_such_noise_rounded(grey: Codec, photos: Path) -> None:
    result = evaluate_denoising(grey, photos, sigmas=[15.0, 50.0], classical=[], seed=3)
    assert (result.images, result.mode, result.told, result.failures) == (3, "L", "sigma", ())
    assert result.megapixels == pytest.approx((29 * 33 + 23 * 31 + 18 * 41) / 1e6)
    ours = [row for row in result.rows if row.method == "grey"]
    assert [(row.image, row.sigma) for row in ours] == [
        (name, sigma) for name in ("a.png", "b.png", "sub/c.png") for sigma in (15.0, 50.0)
    ]
    for row, (height, width) in ((ours[0], (29, 33)), (ours[1], (29, 33)), (ours[4], (18, 41)), (ours[5], (18, 41))):
        clean = scene(height, width)[:, :, None]
        noisy = noisy_image(clean, row.sigma, seed=3)
        made = rounded(FullSize(grey).reconstruct(noisy, sigma=row.sigma))
        assert row.psnr == pytest.approx(10 * log10(255**2 / np.square(made.astype(float) - clean).mean()), abs=1e-9)
        assert row.ssim == pytest.approx(similarity(clean, made))
        assert row.megapixels == pytest.approx(height * width / 1e6)
    for sigma in (15.0, 50.0):
        of_sigma = [row.psnr for row in ours if row.sigma == sigma]
        found = next(at for at in result.results if (at.sigma, at.method) == (sigma, "grey"))
        assert found.psnr == pytest.approx(np.mean(of_sigma))


def test_the_noisy_image_itself_is_a_row_and_neither_clipped_nor_timed(grey: Codec, photos: Path) -> None:
    result = evaluate_denoising(grey, photos, sigmas=[25.0], classical=[])
    row = next(row for row in result.rows if row.method == NOISY)
    noise = np.random.default_rng(0).standard_normal((29, 33, 1)) * 25
    assert row.psnr == pytest.approx(10 * log10(255**2 / np.square(noise).mean()), abs=1e-4)
    assert row.seconds is None
    assert next(iter(result.results)).megapixels_per_second is None


def test_images_are_read_in_the_colours_of_the_model(tmp_path: Path, photos: Path) -> None:
    colour = load(write_tiny_denoiser(tmp_path / "colour", mode="RGB"), pixels="float32")
    result = evaluate_denoising(colour, photos / "b.png", sigmas=[25.0], classical=[])
    clean = np.asarray(Image.open(photos / "b.png"))
    made = rounded(FullSize(colour).reconstruct(noisy_image(clean, 25.0, seed=0), sigma=25.0))
    assert (result.mode, result.rows[-1].psnr) == ("RGB", pytest.approx(psnr(clean, made)))
    assert evaluate_denoising(colour, photos, sigmas=[25.0], classical=[]).images == 3


def test_a_graph_of_bytes_gets_the_noisy_image_as_a_file_would_hold_it(tmp_path: Path, photos: Path) -> None:
    codec = load(write_tiny_denoiser(tmp_path / "grey"), pixels="uint8")
    clean = scene(29, 33)[:, :, None]
    method = BundleMethod(codec, "sigma")
    row = measured(method, "a.png", clean, noisy_image(clean, 25.0, seed=0), 25.0)
    made = rounded(cleaned(rounded(noisy_image(clean, 25.0, seed=0)), 25.0))
    assert row.psnr == pytest.approx(psnr(clean, made), abs=0.01)
    assert "rounded to bytes" in method.setup.settings


def test_the_model_is_told_sigma_or_estimates_it(grey: Codec, photos: Path) -> None:
    told = evaluate_denoising(grey, photos / "a.png", sigmas=[40.0], classical=[])
    auto = evaluate_denoising(grey, photos / "a.png", sigmas=[40.0], classical=[], told="auto")
    clean = scene(29, 33)[:, :, None]
    noisy = noisy_image(clean, 40.0, seed=0)
    estimated = min(estimated_sigma(noisy), 55.0)
    made = {s: rounded(FullSize(grey).reconstruct(noisy, sigma=s)) for s in (40.0, estimated)}
    assert told.rows[-1].psnr == pytest.approx(psnr(clean, made[40.0]))
    assert auto.rows[-1].psnr == pytest.approx(psnr(clean, made[estimated]))
    assert told.methods["grey"].settings.endswith("told σ")
    assert auto.methods["grey"].settings.endswith("σ estimated")


def test_how_near_the_estimate_comes_and_what_becomes_of_a_clean_image(grey: Codec, photos: Path) -> None:
    auto = evaluate_denoising(grey, photos / "a.png", sigmas=[25.0], classical=[], seed=2).auto
    assert auto is not None
    assert [(at.sigma, at.given) for at in auto.estimates[:2]] == [(5.0, "floats"), (5.0, "bytes")]
    assert {at.sigma for at in auto.estimates} == {5.0, 10.0, 15.0, 25.0, 50.0}
    clean = scene(29, 33)[:, :, None]
    floats, in_bytes = (at for at in auto.estimates if at.sigma == 25.0)
    noisy = noisy_image(clean, 25.0, seed=2)
    for figures, given in ((floats, noisy), (in_bytes, rounded(noisy))):
        estimate = estimated_sigma(given)
        assert figures.mean == pytest.approx(estimate)
        assert figures.mean_error == figures.worst_error == pytest.approx(abs(estimate / 25 - 1))
        assert (figures.near, figures.images) == (int(abs(estimate / 25 - 1) <= 0.1), 1)
    full = FullSize(grey)
    untouched = psnr(clean, rounded(full.reconstruct(clean)))
    assert auto.clean.lowest_psnr == auto.clean.median_psnr == (None if untouched == inf else pytest.approx(untouched))
    assert auto.clean.untouched == int(untouched >= 40)
    assert auto.clean.worst_sigma == full.sigma


def test_a_model_that_is_told_nothing_is_measured_too(tmp_path: Path, photos: Path) -> None:
    codec = load(write_tiny_denoiser(tmp_path / "deaf", told=False))
    result = evaluate_denoising(codec, photos, sigmas=[100.0], classical=[])
    assert (result.told, result.auto) == (None, None)
    assert result.methods["deaf"].settings.endswith("told nothing of σ")


def test_rows_are_saved_as_csv_and_all_of_it_as_json(grey: Codec, photos: Path, tmp_path: Path) -> None:
    result = evaluate_denoising(grey, photos, sigmas=[15.0, 25.0], classical=[])
    table, whole = result.save(tmp_path / "new" / "out")
    with open(table, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["image", "sigma", "method", "psnr", "ssim", "seconds", "megapixels"]
    assert [(row["image"], row["method"]) for row in rows[:4]] == [("a.png", NOISY), ("a.png", "grey")] * 2
    assert len(rows) == 3 * 2 * 2
    assert float(rows[1]["psnr"]) == result.rows[1].psnr
    assert rows[0]["seconds"] == ""
    read = json.loads(whole.read_text())
    assert len(read["rows"]) == len(rows)
    assert read["results"][1]["psnr"] == pytest.approx(result.results[1].psnr)
    assert read["methods"]["grey"]["package"] == "onnxruntime"


def test_means_are_over_images_and_speed_over_pixels() -> None:
    def row(image: str, decibels: float | None, seconds: float, megapixels: float) -> Row:
        return Row(image=image, sigma=25, method="m", psnr=decibels, ssim=0.5, seconds=seconds, megapixels=megapixels)

    (found,) = summarised([row("a", 30.0, 1.0, 2.0), row("b", 20.0, 3.0, 10.0)])
    assert (found.psnr, found.seconds, found.megapixels_per_second) == (25.0, 2.0, 3.0)
    (perfect,) = summarised([row("a", 30.0, 1.0, 2.0), row("b", None, 3.0, 10.0)])
    assert perfect.psnr is None


def test_what_a_method_takes_is_what_it_is_called_with() -> None:
    class AddsOne:
        name, setup = "adds-one", Setup(package="none", version="0", settings="")

        def taken(self, noisy_HWC: np.ndarray) -> np.ndarray:
            return noisy_HWC + 1

        def denoised(self, image_HWC: np.ndarray, sigma: float) -> np.ndarray:
            return image_HWC - 1 + np.float32(sigma / 255)

    clean = np.full((9, 9, 1), 100, np.uint8)
    row = measured(AddsOne(), "x", clean, clean.astype(np.float32) / 255, 5.0)
    assert row.psnr == pytest.approx(20 * log10(255 / 5))
    assert row.seconds is not None


def test_progress_is_by_call_and_a_limit_takes_evenly_spaced_images(grey: Codec, photos: Path) -> None:
    *events, result = denoising_evaluation(grey, photos, DenoisingOptions(sigmas=[15.0, 25.0], classical=[], limit=1))
    assert events == [Calls(done=done, total=2) for done in range(3)]
    assert not isinstance(result, Calls)
    assert {row.image for row in result.rows} == {"b.png"}


def test_files_that_cannot_be_read_are_left_out_and_named(grey: Codec, photos: Path) -> None:
    (photos / "broken.png").write_text("no image")
    result = evaluate_denoising(grey, photos, sigmas=[25.0], classical=[])
    assert result.images == 3
    assert [failure.path for failure in result.failures] == ["broken.png"]
    with pytest.raises(
        NothingToDoError, match=r"None of the images of .* can be read: broken.png \(it is not an image"
    ):
        evaluate_denoising(grey, photos / "broken.png", classical=[])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigmas": [0.1]}, "--sigma 0.1: with --denoising it is in levels of 255, from 1 to 255, such as 15,25,50"),
        ({"sigmas": [300.0]}, "from 1 to 255"),
        ({"sigmas": [25.0, 60.0]}, "from 0 to 55 for bundle 'grey'"),
        ({"sigmas": []}, "--sigma is empty"),
    ],
)
def test_a_sigma_out_of_range_is_refused_before_anything_is_measured(
    grey: Codec, photos: Path, options: dict[str, list[float]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate_denoising(grey, photos, classical=[], **options)


def test_what_cannot_be_measured_is_said(grey: Codec, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="was not trained to remove noise"):
        evaluate_denoising(write_tiny_bundle(tmp_path / "plain"), photos)
    with pytest.raises(ConfigError, match="takes images of 8×8 pixels and no others"):
        evaluate_denoising(write_tiny_bundle(tmp_path / "fixed", denoising=True), photos)
    with pytest.raises(UnknownNameError, match="'auto'"):
        evaluate_denoising(grey, photos, told="automatic")
    with pytest.raises(ConfigError, match="There is no file or folder"):
        evaluate_denoising(grey, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDoError, match="no image in"):
        evaluate_denoising(grey, tmp_path / "empty")


def test_an_output_that_is_not_finite_is_no_figure(grey: Codec) -> None:
    method = BundleMethod(grey, "sigma")
    noisy = np.full((8, 8, 1), np.nan, np.float32)
    with pytest.raises(BackendError, match="NaN or infinity"):
        method.denoised(noisy, 25.0)
