"""Noisy, denoised and clean: what the model was given, what it gave back, and the PSNR of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aedeploy.errors import ConfigError, PictureError
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.denoising import psnr

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]
Cells = Callable[..., np.ndarray]


def test_psnr_is_that_of_pixels_up_to_1() -> None:
    clean = np.full((3, 1, 4, 4), 0.5, np.float32)
    other = clean + np.array([0.1, 0.01, 0.0], np.float32)[:, None, None, None]
    np.testing.assert_allclose(psnr(clean, other), [20.0, 40.0, np.inf], atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_and_figures_are_those_of_the_model(
    subject_of: SubjectOf, images_of: ImagesOf, cells: Cells, low_pass: Any, channels: int
) -> None:
    model = type(low_pass)(channels)
    pixels = images_of(9, channels)
    subject = subject_of(pixels, denoising=True)
    picture = draw("denoising", subject, strength=0.25, columns=5)
    chosen = [0, 2, 4, 6, 8]
    random = subject.generator("denoising")
    clean = pixels[chosen].transpose(0, 3, 1, 2) / 255.0
    noisy = clean + 0.25 * random.standard_normal(clean.shape, np.float32)
    denoised = model.decode(noisy.reshape(5, -1) @ model.basis).transpose(0, 3, 1, 2) / 255.0

    def shown(axes: int) -> np.ndarray:
        return cells(picture, 0, 5, (8, 8, channels), axes=axes)[..., :channels].transpose(0, 3, 1, 2)

    np.testing.assert_allclose(shown(0), 255 * noisy.clip(0, 1), atol=0.51)
    np.testing.assert_allclose(shown(1), 255 * denoised, atol=0.51)
    np.testing.assert_array_equal(shown(2), pixels[chosen].transpose(0, 3, 1, 2))
    for key, images in (("noisy_psnr", noisy), ("denoised_psnr", denoised)):
        wanted = -10 * np.log10(np.square(images - clean).mean(axis=(1, 2, 3)))
        np.testing.assert_allclose(picture.figures[key], wanted, atol=1e-3)
    assert min(picture.figures["denoised_psnr"]) > max(picture.figures["noisy_psnr"])
    assert picture.figures["strength"] == {"gaussian": 0.25}
    feet = [label.get_text() for label in picture.figure.axes[0].get_xticklabels()]
    assert feet == [f"{value:.1f}" for value in picture.figures["noisy_psnr"]]


def test_by_default_the_strength_is_the_middle_of_training(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    recipe = {"corruption": {"patch-mask": {"share": [0.2, 0.6], "size": 2}}}
    picture = draw("denoising", subject_of(images_of(2), recipe=recipe))
    assert picture.figures["strength"] == pytest.approx({"patch-mask": 0.4})
    supxlabel = picture.figure.get_supxlabel()
    assert supxlabel == "PSNR of each image in dB; masked patches, share 0.4"


def test_no_noise_is_said_and_is_plain_json(subject_of: SubjectOf) -> None:
    recipe = {"corruption": {"pixel-mask": {"share": 0.5}}}
    picture = draw("denoising", subject_of(np.zeros((2, 8, 8, 1), np.uint8), recipe=recipe))
    assert picture.figures["noisy_psnr"] == [None, None]
    assert [label.get_text() for label in picture.figure.axes[0].get_xticklabels()] == ["equal", "equal"]


def test_the_same_seed_is_the_same_noise(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    found = [
        draw("denoising", subject_of(images_of(3), denoising=True, seed=seed)).figures["noisy_psnr"]
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]


def test_what_was_not_trained_so_is_refused(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    pixels = images_of(2)
    with pytest.raises(PictureError, match="'tiny' was not trained to take noise out of images"):
        draw("denoising", subject_of(pixels))
    with pytest.raises(PictureError, match="'tiny' was trained on 'jpeg', which pictures do not know"):
        draw("denoising", subject_of(pixels, recipe={"corruption": {"jpeg": {"quality": 3}}}))
    with pytest.raises(ConfigError, match="strength=2: of pixel-mask it is a share, from 0 to 1"):
        draw("denoising", subject_of(pixels, recipe={"corruption": {"pixel-mask": {"share": 0.5}}}), strength=2.0)
    with pytest.raises(ConfigError, match="'strength' cannot be 0"):
        draw("denoising", subject_of(pixels, denoising=True), strength=0.0)
