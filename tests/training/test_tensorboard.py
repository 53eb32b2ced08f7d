from __future__ import annotations

import importlib.util
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_run import Configure

from aedeploy.errors import MissingDependencyError
from aedeploy.training.events import Ended, EpochDone, StepsDone, Watched
from aedeploy.training.run import train
from aedeploy.training.tensorboard import picture_grid


def test_what_a_run_says_is_in_the_event_files(configure: Configure, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = list(train(configure("objective.kl.weight=0.5", variant="vae", tensorboard=tmp_path / "board")))
        found = EventAccumulator(str(tmp_path / "board"))
        found.Reload()
    epochs = [event for event in events if isinstance(event, EpochDone)]
    losses = found.Scalars("held_out/loss")
    assert [scalar.step for scalar in losses] == [1, 2, 3]
    assert [scalar.value for scalar in losses] == pytest.approx([epoch.held_out_loss for epoch in epochs])
    kl = [scalar.value for scalar in found.Scalars("train/kl")]
    assert kl == pytest.approx([epoch.train_parts["kl"] for epoch in epochs])
    steps = [scalar.step for scalar in found.Scalars("steps/loss")]
    assert steps == list(range(1, 1 + sum(isinstance(event, StepsDone) for event in events)))
    assert isinstance(events[-1], Ended)
    assert found.Scalars("test/mse")[0].value == pytest.approx(events[-1].metrics["mse"])
    # Event files are named after the host: they are never part of a bundle.
    assert not list((tmp_path / "run").rglob("*tfevents*"))


def test_without_the_package_it_says_how_to_install_it(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else real(name))
    with pytest.raises(MissingDependencyError, match=r"pip install 'aedeploy\[tensorboard\]'"):
        list(train(configure(tensorboard=tmp_path / "board")))
    assert not (tmp_path / "run").exists()


def test_the_pictures_are_in_their_cells(configure: Configure, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        board = tmp_path / "board"
        config = configure("training.epochs=2", variant="denoising", tensorboard=board, watch=True)
        watched = [event for event in train(config) if isinstance(event, Watched)]
        found = EventAccumulator(str(board), size_guidance={"images": 0})
        found.Reload()
    grids = found.Images("pictures/reconstructions")
    assert [grid.step for grid in grids] == [1, 2]
    for grid, event in zip(grids, watched, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(grid.encoded_image_string)).convert("L"))
        error = np.abs(event.reconstructions.astype(int) - event.originals)
        rows = (event.originals, event.inputs, event.reconstructions, error)
        assert pixels.shape == (4 * 10 + 2, 3 * 10 + 2)
        for y, row in enumerate(rows):
            for x, image in enumerate(row):
                cell = pixels[10 * y + 2 : 10 * y + 10, 10 * x + 2 : 10 * x + 10]
                np.testing.assert_array_equal(cell, image[..., 0])


def test_a_grid_of_colour_has_a_grey_error_and_no_row_twice() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    grid = picture_grid(Watched(epoch=1, originals=images, inputs=images, reconstructions=255 - images))
    assert grid.shape == (3 * 6 + 2, 2 * 8 + 2, 3)
    np.testing.assert_array_equal(grid[8:12, 10:16], 255 - images[1])
    error = np.abs(255 - 2 * images[1].astype(int)).mean(-1).round()
    np.testing.assert_array_equal(grid[14:18, 10:16], np.repeat(error[..., None], 3, -1))


def test_large_images_are_reduced() -> None:
    images = np.full((1, 600, 300, 1), 70, np.uint8)
    grid = picture_grid(Watched(epoch=1, originals=images, inputs=images, reconstructions=images))
    assert grid.shape == (3 * 202 + 2, 102 + 2, 1)
    assert set(grid[2:202, 2:102].ravel()) == {70}
