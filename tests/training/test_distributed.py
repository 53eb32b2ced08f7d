"""Two processes on this machine, started by torchrun, against one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_run import TINY_PATCHES, tiny_recipe

from aedeploy.bundle import open_bundle
from aedeploy.errors import ConfigError
from aedeploy.models.build import build_model
from aedeploy.models.load import load_model
from aedeploy.recipes import load_recipe
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.image_set import MemoryImages
from aedeploy.training.data.source import DataRequest
from aedeploy.training.distributed import World
from aedeploy.training.events import Ended, EpochDone
from aedeploy.training.loop import Fit
from aedeploy.training.run import train
from aedeploy.training.validity import check_recipe

TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "aedeploy"]
ONE = [sys.executable, "-m", "aedeploy"]

# Plain gradient descent: Adam's first steps turn a rounding error in a gradient near 0 into a whole step.
TINY = ["--batch-size=8", "--set=model.latent_dim=2", "--set=training.optimizer=sgd", "--lr=0.01", "--device=cpu"]
# In float32, kept as it is: what is compared here would be lost in rounding.
PATCHES = [
    *(f"--set={override}" for override in TINY_PATCHES),
    "--set=training.precision=float32",
    "--set=training.weights=float32",
]


def trained(command: list[str], data: Path, out: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [*command, "train", f"--data={data}", f"--out={out}", "--json", "--quiet", *TINY, *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=out.parent,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)  # one object, of the process that leads
    return found


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("mlp-32", ["--set=model.backbone.hidden=[8]", "--epochs=2"]),
        ("mlp512-2d", ["--set=model.backbone.hidden=[8]", "--epochs=2", "--set=training.accumulate=2"]),
        ("denoising", ["--epochs=1", "--set=corruption.gaussian.sigma=0.0", "--set=training.grad_clip=0.1"]),
        ("stacked", ["--set=model.backbone.hidden=[8, 4]", "--epochs=1", "--set=training.method.layer_epochs=1"]),
        ("denoiser-gray", [*PATCHES, "--epochs=2", "--set=corruption.gaussian.sigma=0.0"]),
    ],
)
def test_two_processes_do_what_one_does(
    tiny_data: Path, tiny_photographs: Path, tmp_path: Path, variant: str, options: list[str]
) -> None:
    data = tiny_photographs if variant == "denoiser-gray" else tiny_data
    results = [
        trained(command, data, tmp_path / name, f"--variant={variant}", *options)
        for name, command in (("one", ONE), ("two", TWO))
    ]
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6)
    assert results[1]["train_loss"] == pytest.approx(results[0]["train_loss"], rel=1e-4)
    figures = [{k: v for k, v in result["test"].items() if v is not None} for result in results]
    assert figures[1] == pytest.approx(figures[0], rel=1e-4)
    # One file written, by the process that leads.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())


# One start of two processes for all of these: most of a start is importing PyTorch.
RUNS = """
import sys, threading
from pathlib import Path
from aedeploy.recipes import load_recipe
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest
from aedeploy.training.distributed import is_follower
from aedeploy.training.events import StepsDone
from aedeploy.training.run import train

folder = Path(sys.argv[1])
data = DataRequest(data=str(folder / "images.npz"), held_out=1100)

def run(name, case, *overrides, steps=None, **given):
    config = TrainConfig(recipe=load_recipe(case, overrides), out=folder / f"{case}-{name}", device="cpu",
                         data=data, tick_seconds=0.0, **given)
    stop = threading.Event()
    for event in train(config, stop):
        if isinstance(event, StepsDone) and (event.epoch, event.step) == steps and not is_follower():
            stop.set()

for arguments in sys.argv[2:]:
    case, *overrides = arguments.split("|")
    run("whole", case, *overrides)
    run("parts", case, *overrides, steps=(2, 2))
    run("fewer", case, *overrides, steps=(2, 2))
    run("parts", case, *overrides, resume=True)
"""

EPOCHS = ["training.epochs=3", "training.batch_size=8"]
HIDDEN = "model.backbone.hidden=[8]"
#: Everything that learns, draws or counts in a way of its own; and what must be the same in memory, not in name alone.
CASES = {
    "vae": [HIDDEN],
    "vq-vae": ["model.bottleneck.codebook_size=8", "training.ema=0.9"],
    "batch-topk": [HIDDEN, "training.accumulate=2"],
    "aae": [HIDDEN, "training.precision=bf16"],
    "stacked": ["model.backbone.hidden=[8, 4]", "training.method.layer_epochs=1", "training.epochs=1"],
    "deep-mlp": [HIDDEN, "training.accumulate=8"],
    "denoising": ["corruption.gaussian.sigma=0.0", "training.channels_last=true"],
}


@pytest.fixture(scope="module")
def runs_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with, of every case, a run of two processes: whole; stopped in an epoch's midst; and resumed there."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "runs.py").write_text(RUNS)
    random = np.random.default_rng(0)
    # More held-out images than are measured at a time: each process has some.
    np.savez(folder / "images.npz", images=random.integers(0, 256, (1127, 8, 8), dtype=np.uint8))
    cases = ["|".join([case, *EPOCHS, *overrides]) for case, overrides in CASES.items()]
    done = subprocess.run(
        [*TWO[:-2], str(folder / "runs.py"), str(folder), *cases],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder


def history(run: Path) -> list[dict[str, Any]]:
    """A run's epochs, without their timings."""
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]


@pytest.mark.parametrize("case", CASES)
def test_a_run_of_two_is_resumed_by_two(runs_of_two: Path, case: str) -> None:
    whole, parts = (runs_of_two / f"{case}-{name}" for name in ("whole", "parts"))
    for file in ("weights.safetensors", "checkpoint.safetensors"):
        expected, found = load_file(whole / file), load_file(parts / file)
        assert expected.keys() == found.keys()
        assert [name for name, value in expected.items() if not torch.equal(found[name], value)] == []
    assert history(parts) == history(whole)
    # The leader alone measures what it publishes, and finds what all of them found together.
    metrics = open_bundle(whole).manifest.metrics
    assert metrics["loss"] == pytest.approx(history(whole)[metrics["best_epoch"] - 1]["held_out_loss"], rel=1e-6)
    assert len(history(whole)) == (4 if case == "stacked" else 3)


@pytest.mark.parametrize("case", ["denoising", "stacked"])
def test_a_run_of_two_is_resumed_by_one(runs_of_two: Path, tmp_path: Path, case: str) -> None:
    """And has the losses of a run that only ever was one: where nothing is random, it is the same run."""
    recipe = load_recipe(case, [*EPOCHS, *CASES[case]])
    shutil.copytree(runs_of_two / f"{case}-fewer", tmp_path / "two")
    for name in ("one", "two"):
        data = DataRequest(data=str(runs_of_two / "images.npz"), held_out=1100)
        *_, ended = train(
            TrainConfig(recipe=recipe, out=tmp_path / name, data=data, device="cpu", resume=name == "two")
        )
        assert isinstance(ended, Ended)
        assert ended.completed
    one, two = history(tmp_path / "one"), history(tmp_path / "two")
    for key in ("train_loss", "held_out_loss"):
        assert [epoch[key] for epoch in two] == pytest.approx([epoch[key] for epoch in one], rel=1e-3)


def test_each_process_draws_noise_of_its_own(tmp_path: Path) -> None:
    """In a group of one, as one and as the other of two: each half of every batch holds the same images."""
    images = MemoryImages.of(np.full((8, 8, 8, 1), 99, np.uint8))
    recipe = check_recipe(tiny_recipe("denoising", "training.epochs=1"))
    losses = []
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        for rank in (0, 0, 1):
            torch.manual_seed(0)
            model = build_model(recipe.recipe.model, (1, 8, 8)).module
            world = World(rank=rank, size=2)
            fit = Fit(model, recipe, pixels=64, seed=0, device=torch.device("cpu"), world=world)
            (done,) = fit.run(images, images, tick_seconds=60.0)
            assert isinstance(done, EpochDone)
            losses.append(done.train_loss)
    finally:
        torch.distributed.destroy_process_group()
    assert losses[0] == losses[1] != losses[2]


def test_a_signal_to_all_stops_them_after_a_step(tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    running = subprocess.Popen(
        [*TWO, "train", f"--data={tiny_data}", f"--out={out}", "--variant=mlp-32", "--epochs=100000", "--json", *TINY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while running.poll() is None and not (out / "history.jsonl").exists():
        time.sleep(0.05)
    running.terminate()  # torchrun hands it on
    printed, said = running.communicate(timeout=120)
    found = json.loads(printed)
    assert (found["completed"], found["bundle"]) == (False, str(out)), said
    assert "this goes on from there" in said
    load_model(open_bundle(out))


@pytest.mark.parametrize(
    ("variant", "size", "images", "message"),
    [
        ("mlp-32", 9, 30, "9 processes need a batch of 9 images at the least, and here it has 8: give a larger"),
        ("deep-mlp", 5, 30, "5 processes need a batch of 10 images at the least, and here it has 8: give a larger"),
        ("mlp-32", 8, 7, "8 processes need a batch of 8 images at the least, and here it has 7: give a larger"),
    ],
)
def test_more_processes_than_a_batch_has_images_are_refused(variant: str, size: int, images: int, message: str) -> None:
    recipe = check_recipe(tiny_recipe(variant))
    model = build_model(recipe.recipe.model, (1, 8, 8)).module
    fits = [
        Fit(model, recipe, pixels=64, seed=0, device=torch.device("cpu"), world=World(size=number))
        for number in (size, size - 1)
    ]
    with pytest.raises(ConfigError, match=message):
        fits[0].steps(images)
    assert fits[1].steps(images) >= 1


def test_what_the_leader_refuses_ends_all(tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("not a bundle")
    done = subprocess.run(
        [*TWO, "train", f"--data={tiny_data}", f"--out={tmp_path / 'out'}", *TINY],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "is there already" in done.stderr
    # Those who wait for the leader end when they are told to.
    assert "SIGTERM" in done.stderr
    assert "SIGKILL" not in done.stderr
