from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

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
    "stages",
    "notes",
]

Run = Callable[..., Result]


@pytest.mark.parametrize("job", ["encode", "reconstruct"])
def test_a_job_takes_the_newest_bundle_and_says_so(run: Run, job: str) -> None:
    result = run(job, "in", "--out", "out")
    assert result.exit_code == 0
    assert f"{job}: 3 ok, 0 skipped, 0 failed, in " in result.stdout
    assert "→ out" in result.stdout
    back = "" if job == "encode" else " and back"
    assert result.stderr == f"Bundle: artifacts/tiny\nEach image is resized to 8×8{back}.\n"


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
    assert list(summary) == [*SUMMARY, *(["denoising"] if job == "denoise" else [])]
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
    assert "skipped  notes.txt: no images by their names, or not selected" in result.stdout
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
    assert "3 were done by earlier runs." in result.stderr


def test_quiet_says_nothing_but_the_result(run: Run) -> None:
    assert run("encode", "in", "--out", "out", "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("encode", "missing", "--out", "out"), 2, "There is no file or folder missing"),
        (("encode", "empty", "--out", "out"), 4, "There is no image in empty (it is empty)"),
        (("decode", "empty", "--out", "out"), 4, "There are no latents in "),
        (("encode", "in", "--out", "in/out"), 2, "is in the input folder"),
        (("encode", "in", "--out", "out", "--batch-size", "0"), 2, "--batch-size must be 1 or more"),
        (("encode", "in", "--out", "out", "--workers", "many"), 2, "--workers takes a number, or auto: 'many'"),
        (("encode", "in", "--out", "out", "--format", "parket"), 2, "'parket' is not (did you mean 'parquet'?)"),
        (("reconstruct", "in", "--out", "out", "--size", "big"), 2, "--size is one of original, model"),
        (("reconstruct", "in", "--out", "out", "--names", "long"), 2, "--names is one of short, full"),
        (("encode", "in", "--out", "out", "--links", "folow"), 2, "'folow' is not (did you mean 'follow'?)"),
        (("encode", "in", "--out", "out", "--shard", "one"), 2, "--shard is i/n, such as 0/8"),
        (("encode", "in", "--out", "out", "--shard", "2/2"), 2, "--shard is i/n with i from 0 to n - 1"),
        (("encode", "in", "--out", "out", "--max-failures", "few"), 2, "--max-failures is a number or a share"),
        (("encode", "in", "--out", "out", "--include", "z*"), 4, "is left by --include and --exclude"),
        (("reconstruct", "in", "--out", "out", "--tile", "8"), 2, "--tile is for models that take images of any size"),
        (("reconstruct", "in", "--out", "out", "--heatmaps"), 2, "belong to --score"),
        (("denoise", "in", "--out", "out", "--quality", "9"), 2, "--quality is for jpeg and webp"),
        (("decode", "in/a.png", "--out", "out"), 2, "holds no latents by its name"),
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


def test_the_geometry_is_told_unless_it_stays(run: Run) -> None:
    Path("small").mkdir()
    Image.new("L", (8, 8)).save("small/a.png")
    assert "resized" not in run("encode", "small", "--out", "out").stderr
    fitted = run("reconstruct", "in", "--out", "fitted", "--resize", "fit").stderr
    assert "Each image is fitted into 8×8 on black, and brought back to its own size." in fitted
    cropped = run("encode", "in", "--out", "cropped", "--resize", "crop").stderr
    assert "Each image is cut to the shape of 8×8 and resized to that." in cropped


def test_large_jpegs_are_told_of_the_faster_way_once_and_not_on_a_resume(run: Run) -> None:
    Path("photos").mkdir()
    Image.effect_noise((1600, 1200), 50).save("photos/a.jpg")
    first = run("encode", "photos", "--out", "out").stderr
    assert first.count("--decode scaled reads them ") == 1
    assert "(docs/pixels.md)" in first
    assert "--decode scaled" not in run("encode", "photos", "--out", "out").stderr
    assert "--decode scaled" not in run("encode", "photos", "--out", "other", "--decode", "scaled").stderr
    assert "--decode scaled" not in run("encode", "in", "--out", "small").stderr


def test_max_failures_end_the_job_and_what_was_finished_is_kept(run: Run) -> None:
    Path("in/x.png").write_bytes(b"no image")
    result = run("encode", "in", "--out", "out", "--on-error", "fail")
    assert result.exit_code == 1
    assert "more than --on-error fail allows, such as x.png: it is not an image" in result.stderr
    assert run("encode", "in", "--out", "out").exit_code == 3


def test_every_panel_is_in_the_help_and_nothing_is_twice(run: Run) -> None:
    text = run("reconstruct", "--help").stdout
    for panel in ("Arguments", "Inputs", "Images", "Scores", "Model", "Speed", "Errors and earlier runs", "Messages"):
        assert text.count(f"\n{panel}:\n") == 1
    assert text.count("--help") == 1
    assert "--score" not in run("denoise", "--help").stdout
    assert "--resize" not in run("decode", "--help").stdout


def test_the_list_on_stdin_is_an_input(run: Run) -> None:
    # Of a process of its own: the list is read from the file descriptor.
    command = [sys.executable, "-m", "aedeploy", "encode", "-", "--out", "out", "--json"]
    done = subprocess.run(command, input="in/a.png\nin/sub/c.png\n", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["ok"] == 2


def test_ctrl_c_commits_and_prints_the_command_that_goes_on(run: Run) -> None:
    Path("many").mkdir()
    Image.effect_noise((1500, 1500), 50).save("many/0.jpg")
    for number in range(1, 300):
        Path(f"many/{number}.jpg").hardlink_to("many/0.jpg")
    words = ["encode", "many", "--out", "my out", "--batch-size", "2", "--workers", "1", "--exclude", "0.jpg", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "aedeploy", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        while not Path("my out/.aedeploy/ledger.jsonl").exists() and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate()
    assert running.returncode == 130
    summary = json.loads(stdout)
    resume = "aedeploy encode many --out 'my out' --bundle artifacts/tiny --exclude 0.jpg --batch-size 2 --workers 1"
    assert summary["resume"] == resume
    assert f"Interrupted: what was finished is kept. To go on:\n\n  {resume}\n" in stderr
    again = run(*shlex.split(resume)[1:], "--json")
    assert again.exit_code == 0
    done = json.loads(again.stdout)
    assert (done["ok"] + summary["ok"], done["failed"]) == (299, 0)
    assert "resume" not in done


def test_a_terminal_sees_a_bar_with_the_rate_the_stage_and_the_end(run: Run) -> None:
    from terminal import on_a_terminal

    code, shown, stdout = on_a_terminal([sys.executable, "-m", "aedeploy", "encode", "in", "--out", "out"])
    assert code == 0
    assert "encode: 3 ok" in stdout
    assert "3 of 3" in shown
    assert "s left" in shown
    assert re.search(r"(read|decode|infer|write) \d+ %", shown)
