"""Jobs of a model with a codebook: its encoder gives integers beside the latents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import load_file

from aedeploy.bundle import Bundle
from aedeploy.data import digits
from aedeploy.jobs.run import Summary
from aedeploy.runtime.codec import load

RunJob = Callable[..., Summary]
FORMATS = ("parquet", "npy", "safetensors")


@pytest.fixture
def quantising(exported_bundles: dict[str, Bundle], tmp_path: Path) -> Bundle:
    """A model with a codebook, and digits in ``in``."""
    (tmp_path / "in").mkdir()
    for number, pixels in enumerate(digits().train[:5].reshape(-1, 28, 28)):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    return exported_bundles["vq-vae"]


def written(folder: Path, format: str) -> dict[str, np.ndarray]:
    """What an encoder gave, as a file of that format holds it; of Parquet each row is flat."""
    if format == "npy":
        return {name: np.load(folder / f"{name}-00000.npy") for name in ("latent", "indices")}
    if format == "safetensors":
        found: dict[str, np.ndarray] = load_file(folder / "latents-00000.safetensors")
        return found
    table = pq.read_table(folder / "part-00000.parquet")
    flat = {name: table[name].combine_chunks() for name in ("latent", "indices")}
    return {name: column.flatten().to_numpy().reshape(len(table), -1) for name, column in flat.items()}


@pytest.mark.parametrize("format", FORMATS)
def test_indices_are_written_as_integers_and_latents_decode(
    run: RunJob, quantising: Bundle, tmp_path: Path, format: str
) -> None:
    assert run("encode", out="latents", bundle=quantising, latent_format=format).ok == 5
    found = written(tmp_path / "latents", format)
    with load(quantising) as codec:
        images = [tmp_path / "in" / f"{number}.png" for number in range(5)]
        wanted = codec.encode_all(images)
        pixels = codec.reconstruct(images)
    assert wanted["indices"].shape == (5, 7, 7)
    assert found["indices"].dtype == np.int64
    assert (found["indices"].reshape(5, 7, 7) == wanted["indices"]).all()
    assert found["latent"].dtype == np.float32
    assert (found["latent"].reshape(wanted["latent"].shape) == wanted["latent"]).all()
    assert found["indices"].min() >= 0
    assert found["indices"].max() < (quantising.manifest.latent.codebook_size or 0)  # type: ignore[union-attr]
    assert run("decode", source="latents", out="images", bundle=quantising).ok == 5
    for number in range(5):
        decoded = np.asarray(Image.open(tmp_path / "images" / f"{number}.png")).astype(int)
        assert np.abs(decoded - pixels[number, :, :, 0]).max() <= 1


def test_no_image_gives_outputs_of_the_right_shapes(quantising: Bundle) -> None:
    with load(quantising) as codec:
        nothing = codec.encode_all([])
    assert {name: (array.dtype, array.shape) for name, array in nothing.items()} == {
        "latent": (np.dtype("float32"), (0, 16, 7, 7)),
        "indices": (np.dtype("int64"), (0, 7, 7)),
    }
