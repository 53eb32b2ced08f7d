"""``aedeploy denoise``: the options of its own, and the models that it takes where none is named."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faulty_command import command
from noisy_images import noisy, read, write
from PIL import Image
from tiny_denoiser import write_tiny_denoiser
from typer.testing import Result

from aedeploy.bundle.shipped import COLOUR, GREY, shipped_path
from aedeploy.cli.job_request import bundles_of, command_of
from aedeploy.jobs.request import JobRequest

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def photographs(run: Run) -> None:
    """In the folder that ``run`` runs in: a photograph in colours and a grey one, and a denoiser that is told."""
    write(Path("photos/colour.png"), noisy(60, 90, 3))
    write(Path("photos/grey.png"), noisy(50, 70))
    write_tiny_denoiser(Path("artifacts/told"))


def test_no_bundle_need_be_named_for_photographs_in_colours_and_grey(run: Run) -> None:
    result = run("denoise", "photos", "--out", "clean", "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert (summary["bundle"], summary["ok"]) == (COLOUR, 2)
    assert summary["denoising"] == {"sigma": "auto", "strength": 1.0, "compare": False, "grey_bundle": GREY}
    assert result.stderr.startswith(f"Bundle: {shipped_path(COLOUR)}, and for grey images {shipped_path(GREY)}\n")
    for name in ("colour", "grey"):
        before, after = read(Path(f"photos/{name}.png")), read(Path(f"clean/{name}.png"))
        assert before.shape == after.shape
        # A slope with noise on it: what is left of the noise is less, and the slope is where it was.
        rough = [np.abs(np.diff(pixels.astype(float), axis=1)).mean() for pixels in (before, after)]
        assert rough[1] < 0.7 * rough[0]
        assert np.abs(before.astype(float).mean() - after.mean()) < 3


def test_the_same_again_skips_and_retry_finds_both_bundles(run: Run) -> None:
    run("denoise", "photos", "--out", "clean", "--sigma", "20")
    assert "0 ok, 2 skipped" in run("denoise", "photos", "--out", "clean", "--sigma", "20").stdout
    Path("clean/grey.png").unlink()
    again = run("jobs", "retry", "clean")
    assert again.exit_code == 0, again.stderr
    assert "denoise: 1 ok, 1 skipped" in again.stdout
    source = Path("photos").resolve()
    assert f"Again: aedeploy denoise {source} --out clean --sigma 20\n" in again.stderr
    assert f"for grey images {shipped_path(GREY)}" in run("jobs", "status", "clean").stdout
    other = run("denoise", "photos", "--out", "clean")
    assert other.exit_code == 2
    assert "clean was begun with another --sigma (20, now auto): pass --overwrite" in other.stderr


def test_a_named_bundle_takes_all_of_them(run: Run) -> None:
    assert run("denoise", "photos", "--out", "clean", "--bundle", "told").exit_code == 0
    with Image.open("clean/colour.png") as image:
        assert image.mode == "L"
    assert run("denoise", "photos", "--out", "coloured", "--bundle", COLOUR).exit_code == 0
    with Image.open("coloured/grey.png") as image:
        assert image.mode == "RGB"


def test_before_and_after_side_by_side(run: Run) -> None:
    words = ("--bundle", "told", "--sigma", "30", "--strength", "0.5")
    run("denoise", "photos", "--out", "clean", *words)
    result = run("denoise", "photos", "--out", "strips", *words, "--compare", "--json")
    assert json.loads(result.stdout)["denoising"] == {
        "sigma": 30.0,
        "strength": 0.5,
        "compare": True,
        "grey_bundle": None,
    }
    halves = [read(Path("photos/grey.png")), read(Path("clean/grey.png"))]
    assert np.array_equal(read(Path("strips/grey.png")), np.concatenate(halves, axis=1))


def test_a_dry_run_says_what_sigma_will_be(run: Run) -> None:
    auto = run("denoise", "photos", "--out", "out", "--dry-run")
    assert f"bundle     {COLOUR} (grey images: {GREY}), onnxruntime on cpu" in auto.stdout
    assert "noise      sigma is estimated for each image: " in auto.stdout
    assert "of 255 in the sample\n" in auto.stdout
    words = ("denoise", "photos", "--out", "out", "--dry-run", "--sigma", "12.5", "--strength", "0.7", "--compare")
    told = "noise      sigma is 12.5 of 255 for every image; strength 0.7; before and after are written\n"
    assert told in run(*words).stdout
    plan = json.loads(run(*words, "--json").stdout)
    assert plan["denoising"] == {"sigma": 12.5, "strength": 0.7, "compare": True, "grey_bundle": GREY}
    assert plan["sample"]["sigma"] == [12.5, 12.5]
    deaf = run("denoise", "photos", "--out", "out", "--dry-run", "--bundle", "tiny")
    assert "noise      the model is told nothing of it\n" in deaf.stdout
    assert "noise " not in run("reconstruct", "photos", "--out", "out", "--dry-run", "--bundle", "told").stdout
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sigma", "-1"), "from 0 to 55 for bundle 'denoiser-color', or auto: -1 is not."),
        (("--sigma", "60"), "from 0 to 55 for bundle 'denoiser-color', or auto: 60 is not."),
        (("--sigma", "foo"), "--sigma takes a number, in levels of 255, or auto: 'foo' is neither."),
        (("--sigma", "nan"), "--sigma takes a number, in levels of 255, or auto: 'nan' is neither."),
        (("--sigma", "5", "--bundle", "tiny"), "'tiny' is not told how much noise there is: leave out --sigma."),
        (("--strength", "2"), "--strength lies between 0, which leaves an image as it is, and 1: 2 does not."),
        (("--size", "model"), "--size model and --resize bring images to the size of one model"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(run: Run, words: tuple[str, ...], message: str) -> None:
    result = run("denoise", "photos", "--out", "out", *words, "--json")
    assert result.exit_code == 2
    assert message in json.loads(result.stdout)["error"]["message"]
    assert "Traceback" not in result.stderr
    assert not Path("out").exists()


def test_only_denoise_has_these_options(run: Run) -> None:
    text = run("denoise", "--help").stdout
    assert text.count("\nNoise:\n") == 1
    assert "the denoisers that come with the package" in " ".join(text.split())
    for job in ("encode", "decode", "reconstruct"):
        assert "--sigma" not in run(job, "--help").stdout


def test_the_words_that_go_on_name_no_bundle_where_none_was_named() -> None:
    colour, grey = bundles_of("denoise", None)
    request = JobRequest(
        job="denoise", bundle=colour, grey_bundle=grey, source="photos", output=Path("out"), sigma=20.0, compare=True
    )
    assert command_of(request) == ["aedeploy", "denoise", "photos", "--out", "out", "--sigma", "20", "--compare"]


def test_ctrl_c_commits_and_the_command_that_goes_on_has_the_same_options(run: Run) -> None:
    for number in range(20):
        kind = "grey" if number % 2 else "colour"
        Path(f"photos/{number}.png").hardlink_to(f"photos/{kind}.png")
    words = ["denoise", "photos", "--out", "out", "--batch-size", "2", "--workers", "1", "--tile", "256", "--json"]
    words += ["--sigma", "15", "--strength", "0.75", "--compare"]
    stopped = command("SIGINT", 3, *words)
    assert stopped.returncode == 130
    summary = json.loads(stopped.stdout)
    assert 0 < summary["ok"] < 22
    resume = shlex.split(summary["resume"])
    assert resume[:5] == ["aedeploy", "denoise", "photos", "--out", "out"]
    for pair in (["--sigma", "15"], ["--strength", "0.75"], ["--tile", "256"]):
        assert resume[resume.index(pair[0]) + 1] == pair[1]
    assert "--compare" in resume
    assert "--bundle" not in resume
    again = run(*resume[1:], "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["ok"] + summary["ok"] == 22
