"""One photograph, at its own size and with all of its bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noisy_images import noisy, slopes
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.errors import ConfigError, ImageError
from aedeploy.runtime.codec import Codec, load
from aedeploy.runtime.full_size import FullSize


@pytest.fixture(scope="module")
def grey() -> Codec:
    return load("denoiser-gray")


@pytest.fixture(scope="module")
def colour() -> Codec:
    return load("denoiser-color")


def decibels(image: np.ndarray, clean: np.ndarray) -> float:
    white = 1.0 if image.dtype == np.float32 else np.iinfo(image.dtype).max
    return float(-10 * np.log10(np.mean((image / white - clean) ** 2)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(("name", "channels"), [("grey", 1), ("colour", 3)])
def test_it_comes_back_clean_at_its_size_and_in_its_dtype(
    name: str, channels: int, dtype: Any, request: pytest.FixtureRequest
) -> None:
    image = noisy(101, 75, channels, sigma=25, dtype=dtype)
    before = image.copy()
    made = request.getfixturevalue(name).denoise_image(image)
    assert (made.dtype, made.shape) == (image.dtype, image.shape)
    clean = slopes(101, 75, channels) / 255
    assert decibels(made, clean) > decibels(image, clean) + 6
    assert (image == before).all()


def test_sixteen_bits_are_not_rounded_to_eight(grey: Codec) -> None:
    made = grey.denoise_image(noisy(64, 64, 1, dtype=np.uint16))
    assert (made % 257 != 0).mean() > 0.9


def test_files_and_pil_images_are_read_as_every_command_reads_them(grey: Codec, colour: Codec, tmp_path: Path) -> None:
    pixels = noisy(60, 40, 3)
    lying = Image.fromarray(np.rot90(pixels).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise
    lying.save(tmp_path / "a.png", exif=exif)
    expected = colour.denoise_image(pixels)
    assert (colour.denoise_image(tmp_path / "a.png") == expected).all()
    assert (colour.denoise_image(str(tmp_path / "a.png")) == expected).all()
    assert (colour.denoise_image(Image.open(tmp_path / "a.png")) == expected).all()
    words = noisy(60, 40, 1, dtype=np.uint16)
    Image.fromarray(words[:, :, 0]).save(tmp_path / "deep.png")
    for given in (tmp_path / "deep.png", Image.open(tmp_path / "deep.png"), words):
        assert (grey.denoise_image(given) == grey.denoise_image(words)).all()


def test_a_grey_array_may_lack_its_channel_and_so_does_what_comes_back(grey: Codec) -> None:
    image = noisy(30, 50, 1)
    assert (grey.denoise_image(image[:, :, 0]) == grey.denoise_image(image)[:, :, 0]).all()


def test_strength_mixes_what_the_model_gives_with_the_image(colour: Codec) -> None:
    image = noisy(40, 40, 3, dtype=np.uint16)
    whole = colour.denoise_image(image, sigma=25.0)
    assert (colour.denoise_image(image, sigma=25.0, strength=0.0) == image).all()
    assert (colour.denoise_image(image, sigma=25.0, strength=1.0) == whole).all()
    half = colour.denoise_image(image, sigma=25.0, strength=0.5)
    assert np.abs(half - (whole.astype(float) + image) / 2).max() <= 1
    floats = noisy(40, 40, 3, dtype=np.float32)
    assert colour.denoise_image(floats, strength=0.7).dtype == np.float32


def test_what_sigma_says_is_done_and_otherwise_it_is_estimated(grey: Codec) -> None:
    image = noisy(80, 80, 1, sigma=25)
    told = {sigma: grey.denoise_image(image, sigma=sigma) for sigma in (0.0, 25.0, 50.0)}
    assert np.abs(told[0.0].astype(int) - image).mean() < np.abs(told[25.0].astype(int) - image).mean()
    assert (told[25.0] != told[50.0]).any()
    full = FullSize(grey)
    full.reconstruct(image)
    assert full.sigma == pytest.approx(25.0, rel=0.15)
    assert (grey.denoise_image(image, sigma=full.sigma) == grey.denoise_image(image)).all()


def test_a_large_one_goes_through_in_tiles_that_do_not_show(grey: Codec) -> None:
    image = noisy(330, 420, 1)
    whole, cut = (grey.denoise_image(image, tile=tile).astype(int) for tile in (1000, 320))
    assert np.abs(whole - cut).max() <= 1
    assert (whole == cut).mean() > 0.999


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (7, 9)])
def test_a_tiny_one_keeps_its_size(colour: Codec, shape: tuple[int, int]) -> None:
    made = colour.denoise_image(noisy(*shape, 3))
    assert made.shape == (*shape, 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 1), np.uint8), r"must be uint8, uint16 or float32 \[H, W, 3\], and is uint8 \[8, 8, 1\]"),
        (np.zeros((8, 8), np.uint8), r"and is uint8 \[8, 8\]"),
        (np.zeros((8, 8, 3)), "and is float64"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"and is uint8 \[2, 8, 8, 3\]"),
        (np.zeros((0, 8, 3), np.uint8), r"and is uint8 \[0, 8, 3\]"),
        (np.full((8, 8, 3), np.nan, np.float32), "this one has NaN or infinity"),
        ([1, 2], "a path, a PIL image or an array, and not list"),
    ],
)
def test_what_is_no_image_of_the_model_is_refused(colour: Codec, image: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        colour.denoise_image(image)


def test_what_else_is_wrong_is_said(colour: Codec, tmp_path: Path) -> None:
    image = noisy(16, 16, 3)
    with pytest.raises(ImageError, match=r"gone\.png: it cannot be read: No such file"):
        colour.denoise_image(tmp_path / "gone.png")
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="strength lies between 0, which leaves an image as it is, and 1"):
            colour.denoise_image(image, strength=strength)
    with pytest.raises(ConfigError, match="60 is not"):
        colour.denoise_image(image, sigma=60.0)
    with pytest.raises(ConfigError, match="sigma is one number here"):
        colour.denoise_image(image, sigma=[10.0])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="takes images of 8×8 pixels and no others"):
        load(write_tiny_bundle(tmp_path / "fixed", denoising=True)).denoise_image(image[:, :, :1])
    with pytest.raises(ConfigError, match="was not trained to remove noise"):
        load(write_tiny_bundle(tmp_path / "other")).denoise_image(image[:, :, :1])
