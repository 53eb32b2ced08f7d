from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle
from typer.testing import CliRunner, Result

from aedeploy.cli.app import app

SUMMARY = [
    "job",
    "bundle",
    "inputs",
    "ok",
    "skipped",
    "failed",
    "seconds",
    "images_per_second",
    "output",
    "failures",
]

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with three images in ``in`` and a bundle in ``artifacts``."""
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(Path("artifacts/tiny"), denoising=True)
    Path("in/sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", "sub/c.png")):
        Image.new("L", (16, 16), 50 * number).save(Path("in", name))

    def run(*words: Any) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env={"NO_COLOR": "1", "COLUMNS": "200"})

    return run


@pytest.mark.parametrize("job", ["encode", "reconstruct", "denoise"])
def test_a_job_takes_the_newest_bundle_and_says_so(run: Run, job: str) -> None:
    result = run(job, "in", "--out", "out")
    assert result.exit_code == 0
    assert f"{job}: 3 ok, 0 skipped, 0 failed, in " in result.stdout
    assert "→ out" in result.stdout
    assert result.stderr == "Bundle: artifacts/tiny\n"


def test_encode_then_decode_gives_the_tree(run: Run) -> None:
    assert run("encode", "in", "--out", "latents").exit_code == 0
    result = run("decode", "latents", "--out", "out")
    assert result.exit_code == 0
    assert sorted(str(path) for path in Path("out").rglob("*.png")) == ["out/a.png", "out/b.png", "out/sub/c.png"]


@pytest.mark.parametrize("job", ["encode", "reconstruct", "denoise"])
def test_json_is_one_object_with_exactly_the_documented_keys(run: Run, job: str) -> None:
    Path("in/broken.png").write_bytes(b"no image")
    Path("in/notes.txt").touch()
    result = run(job, "in", "--out", "out", "-b", "tiny", "--json")
    assert result.exit_code == 3
    summary = json.loads(result.stdout)
    assert list(summary) == SUMMARY
    counts = {key: summary[key] for key in ("job", "bundle", "inputs", "ok", "skipped", "failed", "output")}
    assert counts == {
        "job": job,
        "bundle": "tiny",
        "inputs": 5,
        "ok": 3,
        "skipped": 1,
        "failed": 1,
        "output": "out",
    }
    assert summary["failures"] == [
        {"path": "broken.png", "reason": "it is not an image of a known format, or its header is broken"}
    ]


def test_failures_and_skipped_files_are_listed(run: Run) -> None:
    Path("in/notes.txt").touch()
    for number in range(12):
        Path(f"in/x{number:02d}.png").write_bytes(b"no image")
    result = run("encode", "in", "--out", "out")
    assert result.exit_code == 3
    assert "skipped  notes.txt: no images by their names" in result.stdout
    assert "failed   x00.png: it is not an image" in result.stdout
    assert "… and 2 more: --json lists all of them" in result.stdout


def test_all_broken_is_finished_with_failures_too(run: Run) -> None:
    Path("bad").mkdir()
    Path("bad/a.png").write_bytes(b"no image")
    assert run("encode", "bad", "--out", "out").exit_code == 3


def test_the_same_again_skips_and_is_done(run: Run) -> None:
    run("encode", "in", "--out", "out")
    result = run("encode", "in", "--out", "out")
    assert result.exit_code == 0
    assert "encode: 0 ok, 3 skipped, 0 failed" in result.stdout
    assert "3 are done already; 0 are left." in result.stderr


def test_quiet_says_nothing_but_the_result(run: Run) -> None:
    assert run("encode", "in", "--out", "out", "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("encode", "missing", "--out", "out"), 2, "There is no file or folder missing"),
        (("encode", "empty", "--out", "out"), 4, "There is no image in empty (it is empty)"),
        (("decode", "empty", "--out", "out"), 4, "There are no latents in empty"),
        (("encode", "in", "--out", "in/out"), 2, "is in the input folder"),
        (("encode", "in", "--out", "out", "--batch-size", "0"), 2, "--batch-size must be 1 or more"),
        (("encode", "in", "--out", "out", "--workers", "many"), 2, "--workers takes a number, or auto: 'many'"),
        (("encode", "in", "--out", "out", "--format", "parket"), 2, "'parket' is not (did you mean 'parquet'?)"),
        (("reconstruct", "in", "--out", "out", "--size", "big"), 2, "--size is one of original, model"),
        (("reconstruct", "in", "--out", "out", "--names", "long"), 2, "--names is one of short, full"),
        (("encode", "in", "--out", "out", "-b", "nothing"), 1, "nothing is not a bundle"),
        (("encode", "in", "--out", "out", "--backend", "onnxruntme"), 2, "did you mean 'onnxruntime'?"),
        (("encode", "in", "--out", "out", "--device", "tpu"), 2, "runs on cpu, cuda, not on 'tpu'"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_the_documented_code(
    run: Run, words: tuple[str, ...], code: int, message: str
) -> None:
    Path("empty").mkdir()
    result = run(*words, "--json")
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert json.loads(result.stdout)["exit_code"] == code
    assert not Path("out").exists()


def test_a_device_that_is_not_there_is_never_replaced_by_the_cpu(run: Run) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is a CUDA provider here")
    result = run("encode", "in", "--out", "out", "--device", "cuda")
    assert result.exit_code == 1
    assert "--device cuda" in result.stderr


def test_a_failed_graph_runs_only_when_told_to(run: Run) -> None:
    from aedeploy.bundle import open_bundle

    bundle = open_bundle("artifacts/tiny")
    bundle.with_graphs([graph.model_copy(update={"parity": "failed"}) for graph in bundle.manifest.graphs])
    refused = run("encode", "in", "--out", "out")
    assert refused.exit_code == 1
    assert "failed its parity check" in refused.stderr
    assert run("encode", "in", "--out", "out", "--allow-failed").exit_code == 0


def test_the_command_that_resumes_names_what_was_not_the_default() -> None:
    from aedeploy.cli.jobs import _resuming

    options = {
        "source": Path("my photos"),
        "output": Path("out"),
        "latent_format": "npy",
        "backend": None,
        "device": "cpu",
        "batch_size": "16",
        "workers": "auto",
        "allow_failed": True,
        "overwrite": True,
    }
    assert _resuming("encode", "artifacts/b", options) == (
        "aedeploy encode 'my photos' --out out --bundle artifacts/b --format npy --batch-size 16 --allow-failed"
    )
