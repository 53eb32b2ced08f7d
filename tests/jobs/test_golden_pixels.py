"""The very pixels that go in come out of a whole job: colours in their order, upright, each under its own name.

The tiny model is given as many patterns as it has pixels, which makes it the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.images.write import ImageOptions
from aedeploy.jobs.run import Summary

RunJob = Callable[..., Summary]

SIDE = 8

# How a camera stores an upright image under each EXIF orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture
def identity(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "identity", mode="RGB", size=SIDE, patterns=SIDE)


@pytest.fixture
def golden(tmp_path: Path) -> dict[str, np.ndarray]:
    """Four images of noise, in which no pixel, row, column or channel is like another, written into ``in``."""
    (tmp_path / "in").mkdir()
    images = {}
    for number in range(4):
        images[f"{number}"] = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(images[f"{number}"]).save(tmp_path / f"in/{number}.png")
    return images


def assert_same(folder: Path, golden: dict[str, np.ndarray]) -> None:
    written = sorted(path for path in folder.iterdir() if path.is_file())
    assert [path.stem for path in written] == sorted(golden)
    for path in written:
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), golden[path.stem])


@pytest.mark.parametrize(
    "images",
    [ImageOptions(), ImageOptions(format="tiff"), ImageOptions(format="webp", compression="lossless")],
    ids=lambda images: images.format,
)
def test_every_pixel_and_channel_comes_back(
    run: RunJob, identity: Bundle, golden: dict[str, np.ndarray], tmp_path: Path, images: ImageOptions
) -> None:
    run("reconstruct", bundle=identity, images=images)
    assert_same(tmp_path / "out", golden)


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors", "tar"])
def test_also_by_way_of_latents(
    run: RunJob, identity: Bundle, golden: dict[str, np.ndarray], tmp_path: Path, format: str
) -> None:
    run("encode", bundle=identity, out="latents", latent_format=format)
    run("decode", bundle=identity, source="latents")
    assert_same(tmp_path / "out", golden)


def test_every_exif_orientation_comes_out_upright(run: RunJob, identity: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    upright = np.random.default_rng(9).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    for orientation, turn in STORED.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        image = Image.fromarray(upright)
        (image if turn is None else image.transpose(turn)).save(tmp_path / f"in/{orientation}.png", exif=exif)
    run("reconstruct", bundle=identity)
    assert_same(tmp_path / "out", {str(orientation): upright for orientation in STORED})
