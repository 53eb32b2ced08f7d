"""A sweep of models that train on patches of photographs and have no latent of their own."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import tiny_recipe

from aedeploy.errors import ConfigError
from aedeploy.training.data.source import DataRequest
from aedeploy.training.sweep import SweepConfig, parse_axis, plan_sweep, run_sweep
from aedeploy.training.sweep.run import SweepEnded


@pytest.fixture(autouse=True, scope="module")
def _processes_of_one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def sweeping(photographs: Path, out: Path, *over: str, exclude: tuple[str, ...] = ()) -> SweepConfig:
    return SweepConfig(
        recipe=tiny_recipe("denoiser-gray", "training.epochs=1"),
        axes=[parse_axis(text) for text in over],
        out=out,
        data=DataRequest(data=str(photographs), exclude=exclude),
        device="cpu",
        jobs=1,
    )


def test_each_point_is_trained_on_the_same_patches(tiny_photographs: Path, tmp_path: Path) -> None:
    config = sweeping(tiny_photographs, tmp_path / "sweep", "training.lr=0.001,0.01", exclude=("5.png",))
    *_, ended = run_sweep(plan_sweep(config))
    assert isinstance(ended, SweepEnded)
    assert ended.completed
    rows = json.loads((tmp_path / "sweep" / "results.json").read_text())["results"]
    assert [(row["latent"], row["compression_ratio"]) for row in rows] == [(None, None)] * 2
    assert len({row["data"] for row in rows}) == 1
    with open(tmp_path / "sweep" / "results.csv", newline="") as table:
        assert [row["latent"] for row in csv.DictReader(table)] == ["", ""]
    heads, cells = ended.table.cells()
    assert [row[heads.index("latent")][0] for row in cells] == ["–", "–"]
    assert "denoised_psnr" in heads


def test_patches_are_no_axis(tiny_photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--over training\.patches would give each point other images"):
        plan_sweep(sweeping(tiny_photographs, tmp_path / "sweep", "training.patches.size=8,16"))


def test_patches_that_fit_no_point_are_refused_by_their_setting(tiny_photographs: Path, tmp_path: Path) -> None:
    config = sweeping(tiny_photographs, tmp_path / "sweep", "training.lr=0.001,0.01")
    config = replace(config, recipe=tiny_recipe("denoiser-gray", "training.patches.size=20"))
    with pytest.raises(ConfigError, match=r"20×20 is not: take training\.patches\.size 16 or 24"):
        plan_sweep(config)
