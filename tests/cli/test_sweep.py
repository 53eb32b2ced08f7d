"""``aedeploy sweep``, as a user runs it: in a process of its own where signals and streams matter."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from terminal import on_a_terminal
from typer.testing import CliRunner

from aedeploy.bundle import open_bundle
from aedeploy.cli.app import app

run = CliRunner().invoke

TINY = ["--data=tiny.npz", "--variant=mlp-32", "--set=model.backbone.hidden=[8]", "--set=training.batch_size=8"]
# Long enough to be caught on the way.
LONG = [*TINY, "--over=model.latent_dim=2,4", "--set=corruption.gaussian.sigma=0.1", "--epochs=150", "--jobs=2"]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command runs in, with thirty images of 8×8 in ``tiny.npz``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_images(tmp_path)
    return tmp_path


def write_images(folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    np.savez(folder / "tiny.npz", images=images)


def process(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "aedeploy", "sweep", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def weights(sweep: Path) -> dict[str, str]:
    return {folder.name: open_bundle(folder).manifest.weights.sha256 for folder in sorted(sweep.glob("*-*"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The weights that the long sweep comes to when nothing interrupts it."""
    folder = tmp_path_factory.mktemp("whole")
    write_images(folder)
    command = [sys.executable, "-m", "aedeploy", "sweep", *LONG, "--out=whole", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return weights(folder / "whole")


def until(found: Callable[[], bool]) -> None:
    for _ in range(1200):
        if found():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about in a minute")


def begun(sweep: Path) -> bool:
    return len(list(sweep.glob("*/checkpoint.safetensors"))) == 2


def test_a_person_reads_a_table_and_the_files_are_named() -> None:
    result = run(app, ["sweep", *TINY, "--over=model.latent_dim=2,4", "--epochs=1", "--out=s"])
    assert result.exit_code == 0, result.stderr
    table = [line.split() for line in result.stdout.splitlines()]
    heads = next(line for line in table if "latent_dim" in line)
    assert heads[:5] == ["latent_dim", "latent", "parameters", "ratio", "epochs"]
    assert [line[:5] for line in table if line[:2] in (["2", "2"], ["4", "4"])] == [
        ["2", "2", "1,138", "32", "1"],
        ["4", "4", "1,172", "16", "1"],
    ]
    assert "* the best of its column" in result.stdout
    assert "2 trained, 0 done before, 0 failed" in result.stdout
    assert "s/results.json, s/results.csv, s/results.md" in result.stdout
    assert "2 points; " in result.stderr
    assert "2/2  latent_dim=" in result.stderr
    assert "\x1b" not in result.stdout + result.stderr


def test_a_narrow_window_leaves_columns_out_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = ["sweep", *TINY, "--over=training.epochs=1,2", "--out=s", "--quiet"]
    whole = run(app, sweep).stdout
    assert "not shown" not in whole
    monkeypatch.setattr("aedeploy.cli.console._PIPE_WIDTH", 80)
    narrow = run(app, sweep).stdout.splitlines()
    assert max(map(len, narrow[:-1])) <= 80
    # The axis is called like a column, which is not shown; the axis is.
    heads = next(line.split() for line in narrow if "parameters" in line)
    assert heads[0] == "epochs"
    assert "loss" not in heads
    assert "mse" in heads
    assert "not shown, for want of room: " in narrow[-3]
    assert "loss" in narrow[-3]


def test_json_is_one_object_and_a_point_that_fails_is_in_it_with_exit_code_3() -> None:
    arguments = [
        "sweep",
        *TINY,
        "--set=model.output=linear",
        "--set=objective.reconstruction.loss=mse",
        "--set=training.optimizer=sgd",
        "--over=training.lr=1e12,1e-3",
        "--epochs=1",
        "--out=s",
    ]
    result = run(app, [*arguments, "--json", "--quiet"])
    assert result.exit_code == 3
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert (found["trained"], found["skipped"], found["failed"], found["completed"]) == (1, 0, 1, True)
    assert (found["variant"], found["output"], found["over"]) == ("mlp-32", "s", {"training.lr": [1e12, 1e-3]})
    assert found["results"][0]["test"] == open_bundle("s/lr-0.001").manifest.metrics
    (failure,) = found["failures"]
    assert failure["values"] == {"training.lr": 1e12}
    assert "try a lower --lr" in failure["reason"]
    again = run(app, [*arguments, "--debug"])
    assert again.exit_code == 3
    assert "failed   lr=1000000000000.0: " in again.stdout
    assert "Traceback" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "There is nothing to sweep over: --over takes KEY=VALUE,VALUE,…"),
        (["--over=model.latent_dim="], 2, "has no values"),
        (["--over=latent_dim=2"], 2, "with a dotted key, such as model.latent_dim=2,16,32: 'latent_dim=2'"),
        (["--over=model.latent_dimm=2"], 2, "--over model.latent_dimm=2: 'model.latent_dimm' is not a known key"),
        (["--over=model.latent_dim=2,2"], 2, "2 is given twice"),
        (["--over=model.latent_dim=2", "--over=model.latent_dim=4"], 2, "--over model.latent_dim is given twice"),
        (["--over=training.epochs=2,4", "--epochs=3"], 2, "training.epochs is given by --over, and by another option"),
        (["--over=model.output=linear", "--set=model.output=sigmoid"], 2, "model.output is given by --over, and"),
        (["--over=model.latent_dim=2", "--set=modle.x=1"], 2, "--set modle.x: 'modle' is not a table"),
        (["--over=model.latent_dim=2", "--variant=mlp-33"], 2, "did you mean 'mlp-32'?"),
        (["--over=model.latent_dim=2", "--jobs=many"], 2, "--jobs takes a number, or auto: 'many' is neither"),
        (["--over=model.latent_dim=2", "--jobs=0"], 2, "--jobs 0"),
        (["--over=model.latent_dim=2", "--seeds=0"], 2, "--seeds 0"),
        (["--over=model.latent_dim=2", "--image-size=3x"], 2, "--image-size 3x: give one number"),
        (["--over=model.latent_dim=2", "--data=minst"], 2, "did you mean 'mnist'?"),
        (["--over=model.latent_dim=2", "--data=empty"], 4, "no image in empty"),
        (["--over=model.latent_dim=2", "--out=tiny.npz"], 2, "cannot be written to"),
        (["--over=model.latent_dim=2", "--out=empty/.."], 2, "is there already, and holds no sweep"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    data: Path, arguments: list[str], code: int, message: str
) -> None:
    (data / "empty").mkdir()
    before = sorted(data.rglob("*"))
    result = run(app, ["sweep", "--data=tiny.npz", "--variant=mlp-32", "--out=s", *arguments])
    assert result.exit_code == code, result.stderr
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert sorted(data.rglob("*")) == before


def test_seeds_alone_are_a_sweep(data: Path) -> None:
    result = run(app, ["sweep", *TINY, "--seeds=2", "--seed=1", "--epochs=1", "--out=s", "--json"])
    assert result.exit_code == 0, result.stderr
    assert [row["values"] for row in json.loads(result.stdout)["results"]] == [{"seed": 1}, {"seed": 2}]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_point_and_the_command_that_goes_on_is_printed(
    data: Path, whole: dict[str, str], number: signal.Signals
) -> None:
    interrupted = process(*LONG, "--out=a sweep", "--json")
    until(lambda: begun(data / "a sweep"))
    children = psutil.Process(interrupted.pid).children()
    interrupted.send_signal(number)
    stdout, stderr = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, stderr
    assert not any(child.is_running() for child in children)
    found = json.loads(stdout)
    assert not found["completed"]
    assert len(found["unfinished"]) + len(found["results"]) == 2
    assert found["unfinished"]
    for name in found["unfinished"]:
        # Each has left a bundle that works, and is not taken for a finished one.
        assert open_bundle(data / "a sweep" / name).manifest.metrics["epochs"] < 150
    command = stderr.rpartition("  aedeploy sweep ")[2].strip()
    assert command.endswith("'--out=a sweep'")
    resumed = process(*shlex.split(command), "--json")
    stdout, stderr = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, stderr
    assert json.loads(stdout)["trained"] == len(found["unfinished"])
    assert weights(data / "a sweep") == whole


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_killed_it_leaves_no_process_behind_and_the_same_command_goes_on(data: Path, whole: dict[str, str]) -> None:
    killed = process(*LONG, "--out=killed")
    until(lambda: begun(data / "killed"))
    children = psutil.Process(killed.pid).children()
    assert children
    killed.kill()
    killed.communicate(timeout=60)
    # Nobody may have asked for the end of a process that lost its parent: then it stays as a zombie.
    until(lambda: all(not child.is_running() or child.status() == psutil.STATUS_ZOMBIE for child in children))
    assert begun(data / "killed")
    assert not all((data / "killed" / name / "point.json").exists() for name in whole)
    again = process(*LONG, "--out=killed")
    _, stderr = again.communicate(timeout=60)
    assert again.returncode == 0, stderr
    assert weights(data / "killed") == whole


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_on_a_terminal_there_is_a_bar_and_it_goes_again() -> None:
    command = [sys.executable, "-m", "aedeploy", "sweep", *TINY, "--over=model.latent_dim=2", "--epochs=2", "--out=s"]
    returncode, shown, stdout = on_a_terminal(command)
    assert returncode == 0
    assert "points  0/1" in shown
    assert "━" in shown
    assert "1/1  latent_dim=2:  2 epochs, mse" in shown
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")  # the cursor is shown again
    assert "\x1b" not in stdout
