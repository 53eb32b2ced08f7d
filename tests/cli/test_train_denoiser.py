"""``aedeploy train`` of a denoiser, on a folder of photographs: what a person reads, and what is refused."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_photographs import write_photographs
from tiny_run import TINY_PATCHES
from typer.testing import CliRunner

from aedeploy.bundle import open_bundle
from aedeploy.cli.app import app

run = CliRunner().invoke

TINY = [*(f"--set={override}" for override in TINY_PATCHES), "--latent-dim=2", "--batch-size=8", "--epochs=1"]
GREY = ["train", "--data=photos", "--variant=denoiser-gray", *TINY]


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command runs in, with six photographs in ``photos`` and a scan in ``photos/scans``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = write_photographs(tmp_path / "photos", 6, 48, 40)
    write_photographs(folder / "scans", 1, 48, 40)
    return folder


def test_it_says_what_it_trains_on_and_what_it_is() -> None:
    result = run(app, [*GREY, "--exclude=scans/"])
    assert result.exit_code == 0, result.stderr
    assert "27 patches of 5 photographs of photos to train on and 27 of 1 held out, 16×16 grey; on " in result.stderr
    assert "the image itself goes around the latent: one graph, not cut into an encoder and a decoder" in result.stderr
    assert "told how much noise there is, up to σ = 55 levels of 255" in result.stderr
    assert "overcomplete" not in result.stderr
    assert "held-out patches: " in result.stdout
    assert "denoised_psnr" in result.stdout
    assert "aedeploy export artifacts/photos-denoiser-gray --format onnx" in result.stdout


def test_without_skips_it_has_a_latent_to_speak_of() -> None:
    result = run(app, [*GREY, "--set=model.backbone.skips=false"])
    assert "latent of 8 numbers for 256 pixel values: 32 × fewer" in result.stderr
    assert "told how much noise there is" in result.stderr


def test_what_is_excluded_is_not_in_the_manifest() -> None:
    options = ["--exclude=scans/", "--exclude=5.png", "--set=training.patches.record_files=true"]
    found = json.loads(run(app, [*GREY, *options, "--json"]).stdout)
    assert found["test"]["denoised_psnr"] > 0
    data = open_bundle(found["bundle"]).manifest.provenance.data
    assert data is not None
    assert data.files == tuple(f"{number}.png" for number in range(5))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--variant=denoiser-color"], 2, "--data digits: this recipe trains on patches of photographs, so it takes"),
        ([*GREY[1:], "--image-size=64"], 2, "--image-size resizes whole images"),
        ([*GREY[1:], "--exclude=**"], 4, "--exclude leaves none of the 7 images in photos"),
        ([*GREY[1:], "--set=training.patches.size=20"], 2, "take training.patches.size 16 or 24"),
        ([*GREY[1:], "--set=training.patches.size=256"], 4, "are smaller than 256 pixels a side"),
        ([*GREY[1:], "--set=corruption.gaussian.sigma=0.3"], 2, "raise that one, or lower this"),
        (["--exclude=scans/"], 2, "--exclude leaves out files of a folder, and --data digits is none"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    photos: Path, arguments: list[str], code: int, message: str
) -> None:
    before = sorted(photos.parent.rglob("*"))
    result = run(app, ["train", *arguments])
    assert result.exit_code == code, result.stderr
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert sorted(photos.parent.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_command_that_goes_on_leaves_out_the_same_files() -> None:
    arguments = [*GREY, "--epochs=100000", "--exclude=scans/", "--exclude=my old ones/", "--out=run"]
    command = shlex.split(interrupted_after_an_epoch(arguments).rpartition("  aedeploy ")[2])
    assert "--exclude=scans/" in command
    assert "--exclude=my old ones/" in command
    assert "Going on after epoch" in interrupted_after_an_epoch(command)


def interrupted_after_an_epoch(arguments: list[str]) -> str:
    """What ``aedeploy`` says on stderr until Ctrl-C has ended it."""
    command = [sys.executable, "-m", "aedeploy", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        said.append(process.stderr.read())
    assert process.returncode == 130
    return "".join(said).strip()
