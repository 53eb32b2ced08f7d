"""Two processes on this machine, started by torchrun, against one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "aedeploy"]
ONE = [sys.executable, "-m", "aedeploy"]

# Plain gradient descent: Adam's first steps turn a rounding error in a gradient near 0 into a whole step.
TINY = ["--batch-size=8", "--set=model.latent_dim=2", "--set=training.optimizer=sgd", "--lr=0.01", "--device=cpu"]


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
    ],
)
def test_two_processes_do_what_one_does(tiny_data: Path, tmp_path: Path, variant: str, options: list[str]) -> None:
    results = [
        trained(command, tiny_data, tmp_path / name, f"--variant={variant}", *options)
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


def test_a_run_of_two_is_resumed_by_two(tiny_data: Path, tmp_path: Path) -> None:
    options = ["--variant=vae", "--set=model.backbone.hidden=[8]"]
    trained(TWO, tiny_data, tmp_path / "whole", *options, "--epochs=3")
    trained(TWO, tiny_data, tmp_path / "parts", *options, "--epochs=1")
    trained(TWO, tiny_data, tmp_path / "parts", *options, "--epochs=3", "--resume")
    whole, parts = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    for name, value in whole.items():
        assert torch.equal(parts[name], value), name


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
