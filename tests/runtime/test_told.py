"""Models that are told how much noise there is: one number, one for each image, or what is estimated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noisy_images import noisy
from small_denoiser import SMALL
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError
from aedeploy.images.noise_level import estimated_sigma
from aedeploy.images.pixels import to_floats
from aedeploy.runtime.codec import Codec, auto_batch_size, load

Make = Callable[..., Bundle]


@pytest.fixture
def codec(bundles: Make) -> Codec:
    return load(bundles("denoiser-gray", overrides=SMALL))


def noisy_batch(count: int, sigma: float = 20.0) -> np.ndarray:
    """uint8 [N, 32, 32, 1], of different noise."""
    return np.stack([noisy(32, 32, sigma=sigma, seed=seed) for seed in range(count)])


def test_each_image_is_told_its_own_in_whatever_batch_it_is(codec: Codec) -> None:
    size = auto_batch_size(codec.geometry)
    images = noisy_batch(2 * size + 3)
    levels = np.linspace(0, 55, len(images))
    together = codec.denoise(images, sigma=levels)
    for at in (0, size - 1, size, 2 * size + 2):
        alone = codec.denoise(images[at : at + 1], sigma=float(levels[at]))
        assert np.abs(together[at].astype(int) - alone[0]).max() <= 1, at
    assert (codec.denoise(images[:3], sigma=[5.0, 20.0, 50.0]) != codec.denoise(images[:3], sigma=20.0)).any()


def test_without_a_number_each_is_estimated(codec: Codec) -> None:
    images = np.concatenate([noisy_batch(2, 10.0), noisy_batch(2, 40.0)])
    levels = [estimated_sigma(image) for image in images]
    assert (codec.denoise(images) == codec.denoise(images, sigma=levels)).all()


def test_more_noise_than_it_was_trained_on_is_taken_for_the_most(codec: Codec) -> None:
    black_and_white = np.random.default_rng(0).integers(0, 2, (1, 32, 32, 1), np.uint8) * 255
    assert estimated_sigma(black_and_white[0]) > 55
    assert (codec.denoise(black_and_white) == codec.denoise(black_and_white, sigma=55.0)).all()


def test_of_no_images_there_is_nothing_to_tell(codec: Codec) -> None:
    for sigma in (None, 20.0, []):
        assert codec.denoise([], sigma=sigma).shape == (0, 32, 32, 1)


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (-1.0, r"from 0 to 55 for bundle .*: -1 is not"),
        (60, r"levels of 255, from 0 to 55 .*: 60 is not"),
        (float("nan"), "nan is not"),
        ([10.0, -3.0, 20.0], "-3 is not"),
        ("auto", "a number, or one for each image, and not 'auto'"),
        ([[1.0, 2.0, 3.0]], r"it is \[1, 3\]"),
        ([1.0, 2.0], "there are 2, and more images"),
        ([1.0, 2.0, 3.0, 4.0], "there are 4, and 3 images"),
        ([], "there are 0, and more images"),
    ],
)
def test_what_is_no_such_level_is_refused(codec: Codec, sigma: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        codec.denoise(noisy_batch(3), sigma=sigma)


def test_one_call_of_a_graph_takes_one_for_each_image_too(codec: Codec) -> None:
    values = to_floats(noisy_batch(3))
    told = codec.run("autoencoder", values, sigma=np.array([5.0, 20.0, 50.0], np.float32))["reconstruction"]
    for at, level in enumerate((5.0, 20.0, 50.0)):
        alone = codec.run("autoencoder", values[at : at + 1], sigma=level)["reconstruction"]
        assert np.abs(told[at] - alone[0]).max() < 1e-5
    with pytest.raises(ConfigError, match=r"it is \[2\] for 3 of them"):
        codec.run("autoencoder", values, sigma=np.array([5.0, 20.0]))


def test_a_model_that_is_told_nothing_takes_no_level(tmp_path: Path) -> None:
    codec = load(write_tiny_bundle(tmp_path / "b", denoising=True))
    with pytest.raises(
        ConfigError, match=r"is told nothing of the noise.*leave it out, or take a bundle of a denoiser"
    ):
        codec.denoise(np.zeros((1, 8, 8), np.uint8), sigma=10.0)


def test_graphs_of_bytes_are_told_in_the_same_unit(bundles: Make) -> None:
    floats = load(bundles("denoiser-gray", overrides=SMALL))
    in_bytes = load(bundles("denoiser-gray", overrides=SMALL, pixels="uint8"))
    images = noisy_batch(3)
    for sigma in (None, 0.0, 30.0, [5.0, 20.0, 50.0]):
        given, expected = (codec.denoise(images, sigma=sigma).astype(int) for codec in (in_bytes, floats))
        assert np.abs(given - expected).max() <= 1


def test_an_encoder_is_told_as_well(bundles: Make) -> None:
    overrides = (*SMALL, "model.backbone.skips=false")
    codec = load(bundles("denoiser-gray", overrides=overrides))
    images = noisy_batch(4)
    latents = codec.encode(images, sigma=[5.0, 10.0, 20.0, 50.0])
    assert not np.allclose(latents, codec.encode(images, sigma=50.0))
    whole = codec.reconstruct(images, sigma=[5.0, 10.0, 20.0, 50.0])
    assert np.abs(codec.decode(latents).astype(int) - whole).max() <= 1
