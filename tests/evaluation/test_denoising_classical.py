"""The classical methods, from their own packages where those are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_denoiser import write_tiny_denoiser

from aedeploy.errors import ConfigError, MissingDependencyError, UnknownNameError
from aedeploy.evaluation.denoising import classical, evaluate_denoising
from aedeploy.evaluation.denoising.classical import classical_names, colour_settings, find_classical, grey_settings
from aedeploy.evaluation.denoising.protocol import noisy_image, psnr, rounded

PACKAGES = {"bm3d": "bm3d", "nlm": "cv2"}


def scene(channels: int) -> np.ndarray:
    """uint8 [48, 40, channels]: smooth, with an edge; of three channels, other ones."""
    ys, xs = np.mgrid[0:48, 0:40]
    planes = [np.where(xs > 20 + 4 * at, 60 + 2 * ys, 190 - ys) for at in range(channels)]
    return np.stack(planes, axis=2).astype(np.uint8)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation with neither package."""
    monkeypatch.setattr(classical, "find_spec", lambda name: None)


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [15.0, 50.0])
def test_each_takes_most_of_the_noise_out(name: str, channels: int, sigma: float) -> None:
    pytest.importorskip(PACKAGES[name])
    (method,), _ = find_classical([name], 1)
    clean = scene(channels)
    noisy = noisy_image(clean, sigma, seed=0)
    made = rounded(method.denoised(method.taken(noisy), sigma))
    assert (made.dtype, made.shape) == (np.uint8, clean.shape)
    assert psnr(clean, made) > psnr(clean, noisy * 255.0) + 5
    assert method.setup.version[0].isdigit()


def test_bm3d_sees_the_noise_as_it_is_and_non_local_means_as_a_file_would_hold_it() -> None:
    pytest.importorskip("bm3d")
    pytest.importorskip("cv2")
    noisy = noisy_image(scene(1), 50.0, seed=0)
    (bm3d, nlm), _ = find_classical(None, 1)
    np.testing.assert_array_equal(bm3d.taken(noisy), noisy)
    np.testing.assert_array_equal(nlm.taken(noisy), rounded(noisy))


def test_bm3d_says_which_images_are_too_small_for_it() -> None:
    pytest.importorskip("bm3d")
    (bm3d,), notes = find_classical(["bm3d"], 1)
    with pytest.raises(ConfigError, match="BM3D takes images of 8×8 pixels and more, and one is 9×7"):
        bm3d.taken(np.zeros((7, 9, 1), np.float32))
    assert notes == ("The package bm3d is for non-commercial use only, by its licence.",)


def test_non_local_means_gets_stronger_with_the_noise() -> None:
    assert [grey_settings(sigma) for sigma in (10.0, 20.0)] == [(3, pytest.approx(11.0)), (3, pytest.approx(22.0))]
    assert [grey_settings(sigma) for sigma in (24.0, 48.0)] == [(5, 22.0), (5, 40.0)]
    assert colour_settings(10.0) == (3, 7.0, 8.0)


def test_a_bundle_is_measured_beside_them(tmp_path: Path) -> None:
    pytest.importorskip("bm3d")
    pytest.importorskip("cv2")
    Image.fromarray(scene(3)).save(tmp_path / "a.png")
    bundle = write_tiny_denoiser(tmp_path / "colour", mode="RGB")
    result = evaluate_denoising(bundle, tmp_path / "a.png", sigmas=[25.0])
    assert list(result.methods) == ["colour", "bm3d", "nlm"]
    assert [at.method for at in result.results] == ["noisy", "colour", "bm3d", "nlm"]
    assert all(row.seconds is not None for row in result.rows if row.method != "noisy")
    (verdict,) = result.verdicts
    assert verdict.startswith("σ = 25: ")
    assert "dB against bm3d" in verdict
    assert "dB against nlm" in verdict


@pytest.mark.usefixtures("without")
def test_a_package_that_is_not_installed_is_a_note_or_where_it_was_asked_for_an_error() -> None:
    found, notes = find_classical(None, 1)
    assert found == []
    assert [note.endswith("It is left out.") for note in notes] == [True, True]
    assert "pip install 'aedeploy[denoise-baselines]'" in notes[0]
    with pytest.raises(MissingDependencyError, match="Non-local means needs the package 'opencv-python-headless'"):
        find_classical(["nlm"], 1)
    assert find_classical([], 1) == ([], ())


def test_another_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'bm3d'"):
        find_classical(["bm4d"], 1)
    assert classical_names() == ("bm3d", "nlm")
