"""Every recipe from training to every job; one that is saved in the folder is covered at that moment."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from recipe_questions import recipes_to_export, trains_on_patches
from tiny_photographs import write_photographs

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.manifest import Pixels
from aedeploy.data import digits
from aedeploy.errors import BundleError, ConfigError
from aedeploy.export import export_bundle
from aedeploy.export.run import FORMATS, format_names
from aedeploy.jobs.plan import plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import Summary, run_job
from aedeploy.names import load_named
from aedeploy.parity.verify import verify_bundle
from aedeploy.recipes import load_recipe, recipe_names
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest
from aedeploy.training.events import Ended, StepsDone
from aedeploy.training.run import train

IMAGES = 5


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    for number, pixels in enumerate(digits().held_out[:IMAGES]):
        Image.fromarray(pixels[:, :, 0]).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def colour_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("colour") / "colour.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8))
    return path


def job(name: str, bundle: Bundle, source: Path, output: Path) -> Summary:
    *_, summary = run_job(plan_job(JobRequest(job=name, bundle=bundle, source=source, output=output)))  # type: ignore[arg-type]
    assert isinstance(summary, Summary)
    assert (summary.ok, summary.failed) == (IMAGES, 0)
    return summary


def pixels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(folder / f"{number}.png")) for number in range(IMAGES)])


@pytest.mark.parametrize("name", recipes_to_export())
def test_trained_exported_proven_and_run_in_every_job(
    name: str, exported_bundles: dict[str, Bundle], images: Path, tmp_path: Path
) -> None:
    bundle = exported_bundles[name]
    assert {(graph.format, graph.parity) for graph in bundle.manifest.graphs} == {
        ("onnx", "passed"),
        ("torchscript", "passed"),
    }
    assert verify_bundle(bundle)
    job("reconstruct", bundle, images, tmp_path / "reconstructed")
    if bundle.manifest.latent is None:
        with pytest.raises(BundleError, match="cannot be cut into an encoder and a decoder"):
            job("encode", bundle, images, tmp_path / "latents")
    else:
        job("encode", bundle, images, tmp_path / "latents")
        job("decode", bundle, tmp_path / "latents", tmp_path / "decoded")
        difference = np.abs(pixels(tmp_path / "decoded").astype(int) - pixels(tmp_path / "reconstructed"))
        assert difference.max() <= 1
    if load_recipe(name).corruption:
        job("denoise", bundle, images, tmp_path / "denoised")
        np.testing.assert_array_equal(pixels(tmp_path / "denoised"), pixels(tmp_path / "reconstructed"))
    else:
        with pytest.raises(ConfigError, match="was not trained to remove noise"):
            job("denoise", bundle, images, tmp_path / "denoised")


#: A vector of floats; the others are with the slow tests, and in docs/parity.md.
_QUICK = {("ae", "float32")}


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        pair if pair in _QUICK else pytest.param(*pair, marks=pytest.mark.slow)
        for pair in itertools.product(recipe_names(), get_args(Pixels))
    ],
)
def test_every_format_that_can_be_written_here_is_proven(
    name: str, pixels: Pixels, trained_bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    bundle = open_bundle(shutil.copytree(trained_bundles[name].path, tmp_path / "bundle"))
    formats = [format for format in format_names() if not load_named(FORMATS, format, "format").missing()]
    result = export_bundle(bundle, formats, pixels=pixels)
    assert result.parity
    assert {(graph.format, graph.pixels) for graph in result.graphs} == {(format, pixels) for format in formats}
    assert verify_bundle(result.bundle)


@pytest.mark.parametrize("name", recipes_to_export())
def test_its_defaults_take_small_colour_images_too(name: str, colour_images: Path, tmp_path: Path) -> None:
    overrides, data = ["training.epochs=1", "training.batch_size=18"], colour_images
    if trains_on_patches(load_recipe(name)):
        overrides, data = [*overrides, "training.patches.count=40"], write_photographs(tmp_path / "photographs")
    config = TrainConfig(
        recipe=load_recipe(name, overrides),
        out=tmp_path / "run",
        # In colour, also where the recipe would take them in grey.
        data=DataRequest(data=str(data), color="rgb"),
        device="cpu",
        tick_seconds=0.0,
    )
    events = list(train(config))
    assert sum(isinstance(event, StepsDone) for event in events) >= 2
    assert isinstance(events[-1], Ended)
    image = events[-1].bundle.manifest.image
    assert (image.channels, image.height, image.width) == (3, 64, 64)
