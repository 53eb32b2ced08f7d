from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from tiny_bundle import write_tiny_bundle
from typer.testing import Result

from aedeploy.bundle import Bundle
from aedeploy.bundle.locate import find_bundle
from aedeploy.cli.app import app
from aedeploy.cli.job_options import SPOKEN, panels
from aedeploy.cli.job_request import command_of, read_request
from aedeploy.images.write import ImageOptions
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.sources import Selection

JOBS = ("encode", "decode", "reconstruct", "denoise")

Run = Callable[..., Result]

#: What is on the command line without being a field of JobRequest of that name, and the other way round.
FLAGS_ALONE = {"include", "exclude", "links", "image_format", "quality", "compression", "bundle", "dry_run"}
FIELDS_ALONE = {"job", "bundle", "grey_bundle", "source", "output", "selection", "images"}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


def options_of(job: str) -> dict[str, Any]:
    spoken = {option.name for option in SPOKEN}
    found = [option for options in panels(job).values() for option in options if option.name not in spoken]
    return {option.name: option.default for option in found}


def test_every_option_of_a_request_is_a_flag_of_some_command() -> None:
    flags = {name for job in JOBS for name in options_of(job)}
    assert flags - FLAGS_ALONE == set(JobRequest.__dataclass_fields__) - FIELDS_ALONE


@pytest.mark.parametrize("job", JOBS)
def test_what_nobody_says_is_what_the_library_takes(job: Any, bundle: Bundle) -> None:
    asked = read_request(job, bundle, {"source": "in", "output": Path("out"), **options_of(job)})
    assert asked == JobRequest(job=job, bundle=bundle, source="in", output=Path("out"))


@pytest.mark.parametrize(
    ("job", "options"),
    [
        (
            "encode",
            {
                "selection": Selection(include=("a b/*.png", "-x*"), exclude=("thumbs/",), links="skip"),
                "max_pixels": 5000,
                "decode": "scaled",
                "resize": "crop",
                "latent_format": "npy",
                "latent_dtype": "float16",
                "batch_size": 3,
                "workers": 1,
                "part": (1, 4),
                "processes": "never",
                "on_error": "fail",
            },
        ),
        (
            "reconstruct",
            {
                "images": ImageOptions(format="webp", quality=80),
                "container": "tar",
                "size": "model",
                "names": "full",
                "score": True,
                "heatmaps": True,
                "calibrate": Path("good parts"),
                "quantile": 0.5,
                "max_failures": "5%",
            },
        ),
        ("denoise", {"images": ImageOptions(compression=1), "tile": 64, "engine": "ray", "address": "auto"}),
        ("denoise", {"sigma": 12.345678901, "strength": 0.7, "compare": True}),
        ("denoise", {"sigma": 0.0, "strength": 0.0}),
        (
            "decode",
            {
                "images": ImageOptions(format="tiff", compression="lzw"),
                "backend": "onnxruntime",
                "model_format": "onnx",
                "pixels": "float32",
                "device": "cuda",
                "allow_failed": True,
            },
        ),
    ],
)
def test_a_request_becomes_words_that_ask_for_the_same(job: Any, options: dict[str, Any], bundle: Bundle) -> None:
    asked = JobRequest(job=job, bundle=bundle, source="my in", output=Path("out"), **options)
    words = shlex.split(shlex.join(command_of(asked)))
    assert words[:2] == ["aedeploy", job]
    assert as_request(words, bundle) == asked


def as_request(words: list[str], bundle: Bundle) -> JobRequest:
    """What the command line makes of some words."""
    command = typer.main.get_command(app).commands[words[1]]  # type: ignore[attr-defined]  # Typer's own click group
    options = command.make_context("aedeploy", words[2:]).params
    assert find_bundle(options["bundle"]).path == bundle.path
    return read_request(words[1], bundle, options)  # type: ignore[arg-type]


def test_overwrite_is_not_said_again_and_a_source_like_an_option_is_still_a_source(bundle: Bundle) -> None:
    asked = JobRequest(job="encode", bundle=bundle, source="-odd", output=Path("out"), overwrite=True)
    assert command_of(asked)[:5] == ["aedeploy", "encode", "./-odd", "--out", "out"]
    assert "--overwrite" not in command_of(asked)


def test_the_ledger_keeps_what_was_asked_for(run: Run) -> None:
    words = ["reconstruct", "in", "--out", "out", "--image-format", "tiff", "--compression", "lzw", "--names", "full"]
    assert run(*words, "--exclude", "sub/", "--max-failures", "10%").exit_code == 0
    header = json.loads(Path("out/.aedeploy/ledger.jsonl").read_text().splitlines()[0])
    assert header["request"]["images"] == {"format": "tiff", "quality": None, "compression": "lzw"}
    assert header["request"]["selection"]["exclude"] == ["sub/"]
    assert header["request"]["max_failures"] == "10%"
    assert sorted(path.name for path in Path("out").glob("*.tif")) == ["a.png.tif", "b.jpg.tif"]
