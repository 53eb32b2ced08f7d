"""``aedeploy train``, as a user runs it: in a process of its own where signals and streams matter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from terminal import on_a_terminal
from typer.testing import CliRunner

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.cli.app import app
from aedeploy.errors import BundleError

run = CliRunner().invoke

TINY = ["--variant=mlp-32", "--set=model.backbone.hidden=[8]", "--latent-dim=2", "--batch-size=8"]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command runs in, with thirty images of 8×8 in ``tiny.npz``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "tiny.npz", images=images)
    return tmp_path


_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    """Of a test that failed a training would go on beside all tests that follow."""
    yield
    while _started:
        left = _started.pop()
        left.kill()
        left.wait()


def process(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "aedeploy", "train", *arguments]
    _started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    return _started[-1]


def process_killed_at(event: str, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``aedeploy train``, killed as it is about to rename something to ``path``, or to remove it."""
    watched = (
        "import os, runpy, signal, sys\n"
        "def watch(event, arguments):\n"
        f"    if event == {event!r} and os.fspath(arguments[{int(event == 'os.rename')}]) == {path!r}:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(watch)\n"
        "runpy.run_module('aedeploy', run_name='__main__')\n"
    )
    command = [sys.executable, "-c", watched, "train", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def assert_whole(bundle: Bundle) -> None:
    for record in bundle.files():
        bundle.file(record)


def digests(bundle: Path) -> tuple[str, list[dict]]:
    """Of the weights, and the history without its timings."""
    history = [json.loads(line) for line in (bundle / "history.jsonl").read_text().splitlines()]
    timed = ("seconds", "images_per_second")
    lines = [{key: value for key, value in line.items() if key not in timed} for line in history]
    return open_bundle(bundle).manifest.weights.sha256, lines


def test_json_is_one_object_with_the_promised_keys() -> None:
    result = run(app, ["train", "--data=tiny.npz", *TINY, "--epochs=2", "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["bundle"] == str(Path("artifacts") / "tiny-mlp-32")
    assert (found["variant"], found["epochs"], found["completed"]) == ("mlp-32", 2, True)
    assert found["test"]["mse"] > 0
    assert found["train_loss"] > 0
    assert found["seconds"] > 0
    assert open_bundle(found["bundle"]).manifest.metrics == found["test"]


def test_a_person_reads_the_losses_and_what_comes_next() -> None:
    result = run(app, ["train", "--data=tiny.npz", *TINY, "--epochs=2"])
    assert "epoch 2/2" in result.stderr
    assert "27 images of tiny to train on and 3 held out, 8×8 grey; on cpu" in result.stderr
    assert "aedeploy export artifacts/tiny-mlp-32 --format onnx" in result.stdout
    assert "\x1b" not in result.stderr + result.stdout


def test_quiet_says_nothing_on_stderr() -> None:
    result = run(app, ["train", "--data=tiny.npz", *TINY, "--epochs=1", "--quiet"])
    assert result.exit_code == 0
    assert result.stderr == ""


def test_the_default_folder_is_numbered_and_an_explicit_one_is_not_replaced() -> None:
    for expected in ("tiny-mlp-32", "tiny-mlp-32-2"):
        found = json.loads(run(app, ["train", "--data=tiny.npz", *TINY, "--epochs=1", "--json"]).stdout)
        assert Path(found["bundle"]).name == expected
    result = run(app, ["train", "--data=tiny.npz", *TINY, "--out=artifacts/tiny-mlp-32"])
    assert result.exit_code == 2
    assert "give --resume to go on with it, --overwrite to replace it" in result.stderr


def test_options_go_before_set() -> None:
    arguments = ["--set=training.epochs=50", "--epochs=1", "--lr=0.5", "--seed=3", "--image-size=6x4"]
    run(app, ["train", "--data=tiny.npz", *TINY, *arguments, "--out=run"])
    manifest = open_bundle("run").manifest
    assert manifest.recipe["training"]["epochs"] == 1
    assert manifest.recipe["training"]["lr"] == 0.5
    assert (manifest.image.height, manifest.image.width) == (6, 4)
    assert manifest.provenance.seed == 3


def test_a_recipe_of_ones_own(data: Path) -> None:
    (data / "mine.toml").write_text(
        '[model]\nlatent_dim = 2\n[model.backbone]\nname = "mlp"\nhidden = [4]\n[model.bottleneck]\nname = "gaussian"\n'
        '[objective]\nreduction = "image_sum"\n[objective.reconstruction]\nloss = "bce"\n[objective.kl]\nweight = 4.0\n'
        "[training]\nepochs = 1\n"
    )
    result = run(app, ["train", "--data=tiny.npz", "--variant=mine.toml", "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["bundle"] == str(Path("artifacts") / "tiny-mine")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--variant=mlp-33"], 2, "did you mean 'mlp-32'?"),
        (["--variant=none.toml"], 2, "cannot be read"),
        (["--latent-dim=0"], 2, "'model.latent_dim' cannot be 0"),
        (["--set=objective.kl.weight=1"], 2, "'kl' needs a bottleneck that gives a distribution"),
        (["--set=model.normalisation=standard", "--set=model.output=sigmoid"], 2, "model.output = 'linear'"),
        (["--data=empty"], 4, "no image in empty"),
        (["--data=broken"], 4, "None of the 1 image files in broken can be read: a.png"),
        (["--data=./nowhere"], 2, "there is no such file or folder"),
        (["--data=minst"], 2, "did you mean 'mnist'?"),
        (["--data=floats.npz"], 2, "save it as uint8"),
        (["--image-size=12x"], 2, "--image-size 12x: give one number"),
        (["--image-size=30"], 2, "multiples of 4"),
        (["--device=gpu"], 2, "no device 'gpu'"),
        (["--held-out=0.5"], 2, "digits has a fixed split"),
        (["--resume"], 2, "no run digits-ae to resume"),
        (["--out=floats.npz"], 2, "is a file"),
        (["--out=o\udcff"], 2, r"--out: the name 'o\udcff' is not valid UTF-8"),
        (["--data=d\udcff"], 2, r"--data: the name 'd\udcff' is not valid UTF-8"),
        (["--latent-dim=100000000000"], 2, "lower --image-size, --latent-dim"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    data: Path, arguments: list[str], code: int, message: str
) -> None:
    (data / "empty").mkdir()
    (data / "broken").mkdir()
    (data / "broken" / "a.png").write_text("no")
    np.savez(data / "floats.npz", images=np.zeros((4, 8, 8)))
    before = sorted(data.rglob("*"))
    result = run(app, ["train", *arguments])
    assert result.exit_code == code, result.stderr
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert sorted(data.rglob("*")) == before


def test_an_absent_cuda_is_an_error() -> None:
    result = run(app, ["train", "--device=cuda"])
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a cuda device here")
    assert result.exit_code == 1
    assert "PyTorch finds no such device here" in result.stderr


def test_exploding_says_what_to_try() -> None:
    overrides = ["--set=model.output=linear", "--set=objective.reconstruction.loss=mse", "--set=training.optimizer=sgd"]
    result = run(app, ["train", "--data=tiny.npz", *TINY, *overrides, "--lr=1e12"])
    assert result.exit_code == 1
    assert "try a lower --lr than 1e+12" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_bundle_and_the_command_that_goes_on(data: Path, number: signal.Signals) -> None:
    """Interrupted wherever that happens to be, and resumed as told: the same weights as without the interruption."""
    arguments = [
        "--data=tiny.npz",
        *TINY,
        "--epochs=100000",
        "--set=corruption.gaussian.sigma=0.1",
        "--out=a run",
        "--device=cpu",
        "--workers=1",
    ]
    interrupted = process(*arguments)
    assert interrupted.stderr is not None
    for line in interrupted.stderr:
        if line.startswith("epoch"):
            break
    interrupted.send_signal(number)
    stdout, stderr = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert "next:  aedeploy export" in stdout
    bundle = open_bundle(data / "a run")
    assert_whole(bundle)
    done = bundle.manifest.metrics["epochs"]
    assert isinstance(done, int)
    command = stderr.rpartition("  aedeploy train ")[2].strip()
    assert command.endswith("'--out=a run' --resume")
    assert " --workers=1 " in command
    assert " --device=cpu " in command

    import shlex

    more = f"--epochs={done + 3}"
    resumed = process(*shlex.split(command), more)
    resumed.communicate(timeout=60)
    assert resumed.returncode == 0
    whole = process(*arguments, more, "--out=whole")  # of an option given twice, the last counts
    whole.communicate(timeout=60)
    assert whole.returncode == 0
    assert digests(data / "a run") == digests(data / "whole")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_before_the_first_step_leaves_nothing(data: Path) -> None:
    starting = process("--data=tiny.npz", *TINY, "--epochs=100000")
    time.sleep(0.2)  # whenever it comes: either there is no bundle, or a whole one
    starting.send_signal(signal.SIGINT)
    starting.communicate(timeout=60)
    assert starting.returncode in (130, -signal.SIGINT)
    for folder in (data / "artifacts").glob("*"):
        open_bundle(folder)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_killed_within_an_epoch_and_resumed_it_ends_as_if_left_alone(data: Path) -> None:
    arguments = ["--data=tiny.npz", *TINY, "--set=corruption.gaussian.sigma=0.1"]
    killed = process(*arguments, "--epochs=100000", "--out=killed")
    assert killed.stderr is not None
    for line in killed.stderr:
        if line.startswith("epoch      3/"):
            break
    killed.kill()
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(BundleError, match=r"not a bundle yet: .* aedeploy train --resume --out killed "):
        open_bundle("killed")
    with safe_open("killed/checkpoint.safetensors", framework="numpy") as stored:
        done = json.loads(stored.metadata()["aedeploy"])["progress"]["epoch"]
    for out, more in (("killed", ["--resume"]), ("whole", [])):
        result = run(app, ["train", *arguments, f"--epochs={done + 3}", f"--out={out}", *more])
        assert result.exit_code == 0, result.stderr
    assert digests(data / "killed") == digests(data / "whole")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("event", "name", "stays"),
    [
        ("os.rename", ".new/weights.safetensors", True),
        ("os.rename", ".new/bundle.json", True),
        ("os.remove", "bundle.json", True),
        ("os.rename", "weights.safetensors", False),
        ("os.rename", "golden.safetensors", False),
        ("os.rename", "README.md", False),
        ("os.rename", "bundle.json", False),
    ],
)
def test_a_bundle_replaced_by_a_killed_process_is_whole_or_none(data: Path, event: str, name: str, stays: bool) -> None:
    arguments = ["train", "--data=tiny.npz", *TINY, "--out=run", "--json"]
    run(app, [*arguments, "--epochs=1"])
    before = open_bundle("run")
    killed = process_killed_at(event, f"run/{name}", *arguments[1:], "--epochs=5", "--resume")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if stays:
        assert open_bundle("run") == before
        assert_whole(before)
    else:
        with pytest.raises(BundleError, match="aedeploy train --resume --out run "):
            open_bundle("run")
    resumed = run(app, [*arguments, "--epochs=5", "--resume"])
    assert resumed.exit_code == 0, resumed.stderr
    assert_whole(open_bundle("run"))
    assert open_bundle("run").manifest.metrics["epochs"] == 5
    assert not (data / "run" / ".new").exists()


def test_two_at_once_have_a_folder_each(data: Path) -> None:
    both = [process("--data=tiny.npz", *TINY, "--epochs=1", f"--seed={seed}", "--json") for seed in (1, 2)]
    found = [json.loads(each.communicate(timeout=60)[0])["bundle"] for each in both]
    assert {Path(bundle).name for bundle in found} == {"tiny-mlp-32", "tiny-mlp-32-2"}
    assert [open_bundle(bundle).manifest.provenance.seed for bundle in found] == [1, 2]


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_on_a_terminal_there_is_a_bar_and_it_goes_again(data: Path) -> None:
    command = [sys.executable, "-m", "aedeploy", "train", "--data=tiny.npz", *TINY, "--epochs=3"]
    returncode, shown, stdout = on_a_terminal(command)
    assert returncode == 0
    assert "epoch 3/3" in shown
    assert "━" in shown
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")  # the cursor is shown again
    assert "\x1b" not in stdout
