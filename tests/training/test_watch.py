"""A few held-out images after every epoch, and a training that does not notice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_run import Configure

from aedeploy.bundle import Bundle
from aedeploy.models.load import load_model
from aedeploy.training.config import TrainConfig
from aedeploy.training.corruption import build_corruptions
from aedeploy.training.data.image_set import MemoryImages
from aedeploy.training.data.source import DataRequest
from aedeploy.training.events import Ended, EpochDone, Event, Started, StepsDone, Watched
from aedeploy.training.run import train
from aedeploy.training.watch import Watch

#: A sampled latent, dropout, batch statistics, an average of the weights, noise: all that a look could disturb.
RESTLESS = (
    "corruption.gaussian.sigma=[0.1,0.3]",
    "model.backbone.dropout=0.2",
    "model.backbone.batch_norm=true",
    "training.ema=0.9",
)
RECIPES = ["stacked", "aae", "vq-vae", "batch-topk", "denoiser-gray", "stochastic"]


def events_of(config: TrainConfig) -> list[Event]:
    return list(train(config))


def watched(events: list[Event]) -> list[Watched]:
    return [event for event in events if isinstance(event, Watched)]


@pytest.mark.parametrize(
    ("variant", "overrides"), [(name, ("training.epochs=1",)) for name in RECIPES] + [("vae", RESTLESS)]
)
def test_a_run_that_is_watched_is_the_same_run(
    configure: Configure, tmp_path: Path, variant: str, overrides: tuple[str, ...]
) -> None:
    """Its weights, and all that a checkpoint has, bit for bit; also while a phase trains a part of the model."""
    alone = configure(*overrides, variant=variant, out=tmp_path / "alone")
    unseen = events_of(alone)
    seen = events_of(dataclasses.replace(alone, out=tmp_path / "seen", watch=True))
    assert watched(unseen) == []
    kinds = [type(event) for event in seen if not isinstance(event, StepsDone)]
    epochs = [event.epoch for event in unseen if isinstance(event, EpochDone)]
    assert kinds == [Started, *[EpochDone, Watched] * len(epochs), Ended]
    assert [event.epoch for event in watched(seen)] == epochs
    for event in watched(seen):
        assert event.originals.dtype == event.inputs.dtype == event.reconstructions.dtype == np.uint8
        assert event.originals.shape == event.inputs.shape == event.reconstructions.shape
    for name in ("weights.safetensors", "checkpoint.safetensors"):
        one, other = load_file(tmp_path / "alone" / name), load_file(tmp_path / "seen" / name)
        assert one.keys() == other.keys()
        assert [key for key in one if not torch.equal(one[key], other[key])] == []


def reconstructed(bundle: Bundle, images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        output = load_model(bundle).module(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    return (255 * output).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("overrides", [(), RESTLESS[1:]])
def test_it_shows_what_the_bundle_gives(configure: Configure, overrides: tuple[str, ...]) -> None:
    """In eval mode, and of the average of the weights where that is what is kept."""
    *_, last, ended = events_of(configure("training.epochs=1", *overrides, watch=True))
    assert isinstance(last, Watched)
    assert isinstance(ended, Ended)
    assert last.originals.shape == (3, 8, 8, 1)  # all that are held out
    np.testing.assert_array_equal(last.inputs, last.originals)
    np.testing.assert_array_equal(last.reconstructions, reconstructed(ended.bundle, last.originals))


def test_the_noise_is_the_same_in_every_epoch_and_run(configure: Configure, tmp_path: Path) -> None:
    config = configure("training.epochs=2", variant="denoising", watch=True)
    first, second = watched(events_of(config))
    assert np.abs(first.inputs.astype(int) - first.originals).mean() > 5
    assert not np.array_equal(first.reconstructions, second.reconstructions)
    resumed = watched(events_of(configure("training.epochs=3", variant="denoising", watch=True, resume=True)))
    other = watched(events_of(dataclasses.replace(config, out=tmp_path / "other", seed=7)))
    assert [event.epoch for event in resumed] == [3]
    for event in (second, *resumed, *other):
        np.testing.assert_array_equal(event.inputs, first.inputs)


def test_a_resumed_run_says_what_its_history_has(configure: Configure) -> None:
    before = [event for event in events_of(configure("training.epochs=2")) if isinstance(event, EpochDone)]
    started = events_of(configure("training.epochs=3", resume=True))[0]
    assert isinstance(started, Started)
    assert [(past.epoch, past.train_loss, past.held_out_loss) for past in started.history] == [
        (done.epoch, done.train_loss, done.held_out_loss) for done in before
    ]


def test_images_are_spread_over_all_and_the_model_is_told_their_noise() -> None:
    images = torch.arange(20, dtype=torch.uint8)[:, None, None, None].expand(20, 1, 32, 32) * 5 + 80
    state = torch.get_rng_state()
    watch = Watch(MemoryImages(images), build_corruptions({"gaussian": {"sigma": [0.02, 0.2]}}, max_sigma=55.0))
    assert torch.equal(torch.get_rng_state(), state)
    assert [(int(image[0, 0, 0]) - 80) // 5 for image in watch.originals] == [0, 2, 5, 7, 10, 12, 15, 17]
    assert watch.sigma is not None
    noise = 255 * watch.inputs - watch.originals
    assert noise.std((1, 2, 3)).tolist() == pytest.approx(watch.sigma[:, 0, 0, 0].tolist(), rel=0.1)


def test_streamed_images_are_watched_too(configure: Configure, tiny_data: Path, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for at, image in enumerate(np.load(tiny_data)["images"]):
        Image.fromarray(image).save(folder / f"{at:02}.png")
    shown = []
    for limit in (None, 0):
        data = DataRequest(data=str(folder), workers=1, memory_limit=limit)
        shown += watched(
            events_of(configure("training.epochs=1", data=data, out=tmp_path / f"run-{limit}", watch=True))
        )
    np.testing.assert_array_equal(shown[0].originals, shown[1].originals)
    np.testing.assert_array_equal(shown[0].reconstructions, shown[1].reconstructions)
