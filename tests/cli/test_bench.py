"""``aedeploy bench``: the table, the files, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle
from typer.testing import CliRunner

from aedeploy.bundle import Bundle
from aedeploy.cli.app import app
from aedeploy.files import sha256_of
from aedeploy.names import load_named, names_in

run = CliRunner().invoke
QUICK = ["--rounds", "1", "--batch", "2", "--threads", "1"]


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.chdir(tmp_path)
    return write_tiny_bundle(tmp_path / "artifacts" / "ein Bündel [red]")


def digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


def test_the_newest_bundle_is_measured_and_left_as_it_is(bundle: Bundle) -> None:
    before = digests(bundle.path)
    result = run(app, ["bench", *QUICK])
    assert result.exit_code == 0, result.output
    for part in ("onnx", "passed", "images/s", "1 thread", "1 round", "ein Bündel [red]"):
        assert part in result.stdout
    folder = bundle.path.with_name("ein Bündel [red]-bench")
    saved = json.loads((folder / "bench.json").read_text())
    assert saved["threads"] == 1
    assert str(bundle.path) not in json.dumps(saved)
    assert digests(bundle.path) == before


def test_json_is_one_object(bundle: Bundle, tmp_path: Path) -> None:
    result = run(
        app, ["bench", str(bundle.path), "--json", "--out", str(tmp_path / "figures"), "--graph", "encoder", *QUICK]
    )
    answer = json.loads(result.stdout)
    assert (answer["role"], answer["batch"], answer["rounds"]) == ("encoder", 2, 1)
    row = next(row for row in answer["rows"] if row["variant"] == "onnx")
    assert row["status"] == "passed"
    assert row["images_per_second"] > 0
    assert sorted(answer["files"]) == sorted(path.name for path in (tmp_path / "figures").iterdir())


def test_the_charts_are_pictures_for_both_pages(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert run(app, ["bench", "--out", str(tmp_path / "figures"), *QUICK]).exit_code == 0
    corners = []
    for page in ("light", "dark"):
        with Image.open(tmp_path / "figures" / f"bench-{page}.png") as picture:
            corners.append(picture.convert("L").getpixel((0, 0)))
    assert corners[0] > 200 > 50 > corners[1]


def test_without_matplotlib_one_sentence_says_so(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else there(name, *more)
    )
    result = run(app, ["bench", "--json", *QUICK])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["files"] == ["bench.json"]
    assert "pip install 'aedeploy[pictures]'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--graph", "weights"], 2, "--graph is one of"),
        (["--pixels", "float16"], 2, "--pixels is one of float32, uint8"),
        (["--format", "onyx"], 2, "did you mean 'onnx'"),
        (["--format", "onnx", "--format", "ort"], 1, "has no ort graph to measure (it has onnx): --all"),
        (["--pixels", "uint8"], 1, "has no uint8 graph to measure"),
        (["--device", "tpu"], 2, "--device tpu"),
        (["--out", "artifacts/ein Bündel [red]/bench"], 2, "is in the bundle"),
    ],
)
def test_what_cannot_be_is_one_sentence(bundle: Bundle, arguments: list[str], code: int, message: str) -> None:
    before = digests(bundle.path)
    result = run(app, ["bench", *arguments, "--json"])
    assert result.exit_code == code
    assert message in json.loads(result.stdout)["error"]["message"]
    assert digests(bundle.path) == before


def test_a_device_that_is_not_there_ends_the_command(bundle: Bundle) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is a GPU here")
    result = run(app, ["bench", "--device", "cuda", "--json", *QUICK])
    assert result.exit_code == 1
    assert "cuda" in json.loads(result.stdout)["error"]["message"]


def test_all_exports_what_is_missing_into_a_copy(
    trained_bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(trained_bundles["standardised-rgb"].path, tmp_path / "ein Modell"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = digests(copy)
    result = run(app, ["bench", str(copy), "--all", "--json", *QUICK])
    answer = json.loads(result.stdout)
    assert result.exit_code == 0, answer
    rows = {row["variant"]: row for row in answer["rows"]}
    formats = names_in("aedeploy.export.formats")
    assert set(rows) == {"PyTorch (eager)", *formats}
    for format in formats:
        missing = load_named("aedeploy.export.formats", format, "format").missing()
        assert (rows[format]["status"] == "engine missing") == bool(missing)
        assert rows[format]["images_per_second"] or rows[format]["reason"]
    assert rows["onnx"]["status"] == "passed"
    assert digests(copy) == before
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("aedeploy")]


def test_what_cannot_be_exported_is_a_row(bundle: Bundle) -> None:
    # Its recipe is none that PyTorch could build.
    result = run(app, ["bench", "--all", "--format", "onnx", "--format", "torchscript", "--json", *QUICK])
    rows = {row["variant"]: row for row in json.loads(result.stdout)["rows"]}
    assert result.exit_code == 0
    assert rows["onnx"]["status"] == "passed"
    assert rows["torchscript"]["status"] == "failed to export"
    assert rows["torchscript"]["reason"]


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX")
def test_ctrl_c_ends_it_and_all_its_processes(bundle: Bundle) -> None:
    command = [Path(sys.executable).with_name("aedeploy"), "bench", "--rounds", "10000", "--threads", "1"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background ignores it, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    parent = psutil.Process(process.pid)
    children: list[psutil.Process] = []
    while process.poll() is None and not children:
        children = parent.children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "Interrupted" in err
    assert not psutil.wait_procs(children, timeout=60)[1]
