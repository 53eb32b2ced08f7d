"""Patches of photographs: where they come from, what is refused, and that a run on them goes on where it stopped."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_photographs import write_photographs
from tiny_run import Configure, tiny_recipe

from aedeploy.errors import ConfigError, NothingToDoError, TrainingError
from aedeploy.training.config import TrainConfig
from aedeploy.training.data import patches as patches_module
from aedeploy.training.data.image_set import ImageSet, in_turn
from aedeploy.training.data.open import open_source
from aedeploy.training.data.patches import PatchConfig
from aedeploy.training.data.source import Data, DataRequest
from aedeploy.training.events import Ended, Started, StepsDone
from aedeploy.training.run import train

SIZE = 16
WHOLE = PatchConfig(size=SIZE, count=300, shrink=(1,))


def plan(number: int, height: int, width: int) -> np.ndarray:
    """An image that says where each of its pixels is: red the image, green the row, blue the column."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([np.full_like(rows, number), rows, columns], axis=2).astype(np.uint8)


def write_plans(folder: Path, sizes: Iterable[tuple[int, int]]) -> Path:
    folder.mkdir()
    for number, size in enumerate(sizes):
        Image.fromarray(plan(number, *size)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    """Twenty plans of several sizes, of which the two at 5 and 15 are held out."""
    return write_plans(tmp_path / "plans", [(40 + 3 * at, 90 - 2 * at) for at in range(20)])


def load(folder: Path, config: PatchConfig = WHOLE, **options: object) -> Data:
    return open_source(DataRequest(data=str(folder), **options), config).load()  # type: ignore[arg-type]


def pixels(images: ImageSet) -> np.ndarray:
    """All of them, uint8 [N, H, W, C]."""
    return torch.cat(list(images.batches(in_turn(len(images), 7)))).permute(0, 2, 3, 1).numpy()


def test_a_patch_is_a_piece_of_an_image_turned_in_one_of_eight_ways(plans: Path) -> None:
    data = load(plans)
    assert data.train.image_shape == (3, SIZE, SIZE)
    ways = set()
    for patch in pixels(data.train).astype(int):
        (number,) = np.unique(patch[..., 0])
        top, left = patch[..., 1].min(), patch[..., 2].min()
        piece = plan(number, 40 + 3 * number, 90 - 2 * number)[top : top + SIZE, left : left + SIZE].astype(int)
        assert piece.shape == patch.shape
        turned = {(way, flip): np.rot90(piece[:, ::-1] if flip else piece, way) for way in range(4) for flip in (0, 1)}
        found = [name for name, image in turned.items() if np.array_equal(image, patch)]
        assert len(found) == 1
        ways.update(found)
    assert len(ways) == 8


def test_a_held_out_photograph_gives_no_patch_to_train_on(plans: Path) -> None:
    data = load(plans, PatchConfig(size=SIZE, count=3000, shrink=(1,)))
    train, held_out = (set(np.unique(pixels(side)[..., 0])) for side in (data.train, data.held_out))
    # Evenly spaced, as of a folder of whole images.
    assert held_out == {5, 15}
    assert train == set(range(20)) - held_out
    assert (len(data.train), len(data.held_out)) == (3000, 1024)
    assert data.photographs == (18, 2)
    assert load(plans, held_out=4).photographs == (16, 4)


def test_places_are_even_over_all_pixels_so_that_large_images_give_more(tmp_path: Path) -> None:
    folder = write_plans(tmp_path / "two", [(31, 31), (40, 40), (79, 79)])
    train = pixels(load(folder, PatchConfig(size=SIZE, count=4000, shrink=(1,))).train)
    large = train[train[:, 0, 0, 0] == 2]
    assert len(large) / len(train) == pytest.approx(64**2 / (64**2 + 16**2), abs=0.02)
    tops = large[..., 1].min((1, 2))
    assert (tops.min(), tops.max()) == (0, 79 - SIZE)
    assert tops.mean() == pytest.approx((79 - SIZE) / 2, abs=1.5)


def test_images_are_shrunk_by_each_factor_that_leaves_room_for_a_patch(tmp_path: Path) -> None:
    """A ramp of a level a pixel is one of two levels a pixel at half the size."""
    folder = write_plans(tmp_path / "ramps", [(100, 120)] * 3)
    train = pixels(load(folder, PatchConfig(size=SIZE, count=400, shrink=(2, 4, 8))).train).astype(int)
    steps = [(patch[..., 1].max() - patch[..., 1].min()) / (SIZE - 1) for patch in train]
    assert {round(step) for step in steps} == {2, 4}
    with pytest.raises(
        NothingToDoError, match=r"gives a patch: 0 cannot be read, 3 are smaller than 128 pixels a side"
    ):
        load(folder, PatchConfig(size=SIZE, count=400, shrink=(8,)))


def test_shrinking_averages_the_noise_away(tmp_path: Path) -> None:
    folder = tmp_path / "grainy"
    folder.mkdir()
    for number in range(2):
        grain = np.random.default_rng(number).normal(128, 20, (128, 128))
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    deviations = [
        pixels(load(folder, PatchConfig(size=SIZE, count=200, shrink=(factor,), color="grey")).train).std()
        for factor in (1, 2, 4)
    ]
    assert deviations[1] < 0.6 * deviations[0]
    assert deviations[2] < 0.6 * deviations[1]


def test_the_same_photographs_give_the_same_patches_wherever_they_lie(plans: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(plans, tmp_path / "elsewhere" / "plans"))
    first, second = load(plans, workers=1), load(copied, workers=3)
    for left, right in ((first.train, second.train), (first.held_out, second.held_out)):
        np.testing.assert_array_equal(pixels(left), pixels(right))
    assert first.record == second.record
    assert str(tmp_path) not in first.record.model_dump_json()
    order = [torch.tensor([7, 0, 299]), torch.tensor([3])]
    for batch, positions in zip(first.train.batches(order), order, strict=True):
        assert batch.is_contiguous()
        np.testing.assert_array_equal(batch.permute(0, 2, 3, 1).numpy(), pixels(first.train)[positions.numpy()])


def test_the_digest_is_of_the_pixels(plans: Path) -> None:
    before = load(plans).record.digest
    assert load(plans).record.digest == before
    assert load(plans, color="grey").record.digest != before
    assert load(plans, PatchConfig(size=SIZE, count=300, shrink=(1, 2))).record.digest != before
    changed = plan(3, 49, 84)
    changed[-1, -1, 0] += 1
    Image.fromarray(changed).save(plans / "03.png")
    assert load(plans).record.digest != before


def test_the_record_says_what_was_done_and_names_the_files_where_it_is_asked_to(plans: Path) -> None:
    config = PatchConfig(size=SIZE, count=300, shrink=(1, 2), record_files=True)
    record = load(plans, config, exclude=("1?.png",)).record
    assert record.files == tuple(f"{number:02}.png" for number in range(10))
    assert (record.train, record.held_out) == (300, 300)
    assert record.split.startswith("1 of 10 images held out")
    assert record.preparation is not None
    assert record.preparation.startswith("10 photographs, upright, shrunk by 1, 2 with an antialiased Lanczos filter (")
    assert "300 patches of 16×16 from evenly drawn places to train on" in record.preparation
    assert load(plans).record.files == ()


def test_what_is_excluded_is_not_read(plans: Path) -> None:
    data = load(plans, exclude=("0*.png", "./11.png"))
    numbers = {int(number) for side in (data.train, data.held_out) for number in np.unique(pixels(side)[..., 0])}
    assert numbers == {10, *range(12, 20)}
    with pytest.raises(NothingToDoError, match="--exclude leaves none of the 20 images"):
        load(plans, exclude=("*.png",))


def test_broken_and_small_files_are_left_out_and_said(plans: Path) -> None:
    (plans / "text.jpg").write_text("not an image")
    Image.fromarray(plan(99, 15, 200)).save(plans / "thin.png")
    data = load(plans)
    broken, small = data.notes
    assert broken.startswith("1 of 22 files cannot be read and are left out: text.jpg (it is not an image")
    assert small == "1 of 22 images are smaller than 16 pixels a side and are left out."
    assert data.photographs == (18, 2)


def test_a_turned_photograph_is_read_upright(tmp_path: Path) -> None:
    turned, upright = tmp_path / "turned" / "photos", tmp_path / "upright" / "photos"
    exif = Image.Exif()
    exif[0x0112] = 6
    for folder in (turned, upright):
        folder.mkdir(parents=True)
    for number in range(2):
        stored = plan(number, 20, 60)
        Image.fromarray(stored).save(turned / f"{number}.png", exif=exif)
        Image.fromarray(np.rot90(stored, -1)).save(upright / f"{number}.png")
    np.testing.assert_array_equal(pixels(load(turned).train), pixels(load(upright).train))


def test_patches_are_in_the_colours_of_the_recipe_or_in_those_asked_for(plans: Path) -> None:
    grey = PatchConfig(size=SIZE, count=50, shrink=(1,), color="grey")
    as_grey, as_rgb = load(plans, grey).train, load(plans, grey, color="rgb").train
    assert as_grey.image_shape == (1, SIZE, SIZE)
    assert as_rgb.image_shape == load(plans).train.image_shape == (3, SIZE, SIZE)
    # BT.601, as Pillow and serving have it.
    expected = (pixels(as_rgb) * [0.299, 0.587, 0.114]).sum(-1, keepdims=True)
    np.testing.assert_allclose(pixels(as_grey), expected, atol=1)


def test_what_cannot_give_patches_is_refused(plans: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((4, 32, 32), np.uint8))
    for data in (tmp_path / "images.npz", "digits", tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match=r"trains on patches of photographs, so it takes a folder of images"):
            load(data)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"--image-size resizes whole images, .*: set training\.patches\.size"):
        load(plans, image_size=(32, 32))
    with pytest.raises(ConfigError, match="at least 2 images"):
        load(write_photographs(tmp_path / "one", 1, 48, 48))
    with pytest.raises(ConfigError, match="keep some on both sides"):
        load(plans, held_out=20)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NothingToDoError, match="no image in"):
        load(empty)


def test_more_images_than_memory_holds_are_refused(plans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches_module, "available_memory", lambda: 2 * 100_000)
    with pytest.raises(
        TrainingError, match=r"shrunk, take more than the 0\.0 GiB of memory .* larger training\.patches"
    ):
        load(plans)


@pytest.mark.parametrize("settings", [{"size": 7}, {"count": 0}, {"shrink": []}, {"shrink": [0]}, {"colour": "grey"}])
def test_settings_that_cannot_be_are_refused_by_name(configure: Configure, settings: dict[str, object]) -> None:
    ((key, value),) = settings.items()
    with pytest.raises(ConfigError, match=rf"training\.patches\.{key}"):
        list(train(configure(f"training.patches.{key}={value}", variant="denoiser-gray")))


def test_a_size_against_the_backbones_rule_names_the_setting_of_patches(configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r"30×30 is not: take training\.patches\.size 24 or 32, or give fewer"):
        list(train(configure("training.patches.size=30", variant="denoiser-gray")))


def run(config: TrainConfig, stop_after: int | None = None) -> Ended:
    """A run, ended after so many steps if any."""
    stop, steps = threading.Event(), 0
    for event in train(config, stop):
        steps += isinstance(event, StepsDone)
        if steps == stop_after:
            stop.set()
    assert isinstance(event, Ended)
    return event


def test_a_run_on_patches_says_what_of_and_records_it(configure: Configure) -> None:
    started, *_, ended = train(configure(variant="denoiser-gray"))
    assert isinstance(started, Started)
    assert isinstance(ended, Ended)
    assert (started.latent, started.max_sigma, started.photographs) == (None, 55.0, (5, 1))
    data = ended.bundle.manifest.provenance.data
    assert data is not None
    assert (data.train, data.held_out) == (27, 27)
    assert data.preparation is not None


@pytest.fixture(scope="module")
def whole(tiny_photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """What a run that was never stopped went by."""
    config = TrainConfig(
        recipe=tiny_recipe("denoiser-color"),
        data=DataRequest(data=str(tiny_photographs)),
        out=tmp_path_factory.mktemp("whole") / "run",
        device="cpu",
        tick_seconds=0.0,
    )
    run(config)
    return config


@pytest.mark.parametrize("stop_after", [2, 6, 12])
def test_stopped_and_resumed_is_as_if_never_stopped(whole: TrainConfig, tmp_path: Path, stop_after: int) -> None:
    pieces = dataclasses.replace(whole, out=tmp_path / "pieces")
    run(pieces, stop_after=stop_after)
    run(dataclasses.replace(pieces, resume=True))
    for name in ("weights", "checkpoint"):
        one, other = (load_file(config.out / f"{name}.safetensors") for config in (whole, pieces))
        assert one.keys() == other.keys()
        assert [key for key in one if not torch.equal(one[key], other[key])] == []


def test_other_photographs_are_not_gone_on_with(configure: Configure, tmp_path: Path) -> None:
    run(configure(variant="denoiser-gray"), stop_after=5)
    others = write_photographs(tmp_path / "photographs", 7, 48, 40)
    with pytest.raises(ConfigError, match=r"cannot be resumed with other options: its data\.digest was"):
        run(configure(variant="denoiser-gray", data=DataRequest(data=str(others)), resume=True))
    with pytest.raises(ConfigError, match=r"its training\.patches\.count was 27, and is 28 now"):
        run(configure("training.patches.count=28", variant="denoiser-gray", resume=True))
