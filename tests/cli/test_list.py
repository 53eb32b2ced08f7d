"""``aedeploy list``: the names that other commands take."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from aedeploy.cli.app import app
from aedeploy.errors import MissingDependencyError
from aedeploy.pictures import picture_names
from aedeploy.recipes import recipe_names
from aedeploy.runtime import open as runtime_open

run = CliRunner().invoke

SOME = {
    "variants": {"ae", "mlp-32", "vae"},
    "formats": {"exported-program", "ncnn", "onnx", "onnx-fp16", "onnx-int8", "openvino", "ort", "torchscript"},
    "backends": {"eager", "exported-program", "ncnn", "onnxruntime", "openvino", "torchscript"},
    "bundles": {"denoiser-gray", "denoiser-color"},
    "targets": {"cpp-libtorch", "cpp-onnx", "node", "python", "web"},
    "pictures": set(picture_names()),
    "data": {"digits", "mnist", "fashion-mnist", "cifar10", "PATH"},
}


@pytest.mark.parametrize("kind", SOME)
def test_a_list_has_the_names_and_a_line_on_each(kind: str) -> None:
    result = run(app, ["list", kind, "--json"])
    assert result.exit_code == 0
    (listed,) = json.loads(result.stdout).items()
    assert listed[0] == kind
    assert SOME[kind] <= {row["name"] for row in listed[1]}
    assert all(row["summary"] for row in listed[1])
    text = run(app, ["list", kind]).stdout
    assert all(name in text for name in SOME[kind])
    assert "\x1b" not in text


def test_a_variant_is_one_line_in_a_window_of_usual_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aedeploy.cli.console._PIPE_WIDTH", 100)
    lines = run(app, ["list", "variants"]).stdout.splitlines()
    rows = [line.split()[0] for line in lines[4:] if line.strip()]
    assert rows == recipe_names()


def test_without_a_kind_all_are_listed() -> None:
    assert list(json.loads(run(app, ["list", "--json"]).stdout)) == list(SOME)


def test_every_recipe_is_a_variant() -> None:
    rows = json.loads(run(app, ["list", "variants", "--json"]).stdout)["variants"]
    assert [row["name"] for row in rows] == recipe_names()


def test_a_backend_that_is_not_installed_comes_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise MissingDependencyError("torch", "train", name)

    monkeypatch.setattr(runtime_open, "load_backend", absent)
    rows = json.loads(run(app, ["list", "backends", "--json"]).stdout)["backends"]
    assert {row["installed"] for row in rows} == {"no: pip install 'aedeploy[train]'"}


def test_an_unknown_kind_comes_with_the_nearest() -> None:
    result = run(app, ["list", "varants", "--json"])
    assert result.exit_code == 2
    assert "did you mean 'variants'" in json.loads(result.stdout)["error"]["message"]
    assert result.stderr.startswith("Error: There is no list 'varants'")


def test_a_format_comes_with_its_file_what_runs_it_and_what_it_takes() -> None:
    rows = {row["name"]: row for row in json.loads(run(app, ["list", "formats", "--json"]).stdout)["formats"]}
    assert {(name, row["file"], row["runs it"], row["options"]) for name, row in rows.items()} == {
        ("exported-program", ".pt2", "exported-program", "–"),
        ("ncnn", ".param", "ncnn", "–"),
        ("onnx", ".onnx", "onnxruntime", "--opset"),
        ("onnx-fp16", ".onnx", "onnxruntime", "--opset"),
        ("onnx-int8", ".onnx", "onnxruntime", "--opset, --calibration"),
        ("openvino", ".xml", "openvino", "–"),
        ("ort", ".ort", "onnxruntime", "--opset"),
        ("torchscript", ".pt", "torchscript", "–"),
    }
    assert rows["onnx"]["installed"] == "yes"


def test_listing_formats_imports_nothing_that_writes_or_runs_them() -> None:
    program = (
        "import sys\n"
        "from aedeploy.cli.app import main\n"
        "sys.argv[1:] = ['list', 'formats', '--json']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'onnx', 'openvino', 'ncnn', 'onnxruntime'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_format_is_one_line_in_a_window_of_usual_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aedeploy.cli.console._PIPE_WIDTH", 100)
    lines = run(app, ["list", "formats"]).stdout.splitlines()
    assert sorted(SOME["formats"]) == [line.split()[0] for line in lines[4:] if line.strip()]


def test_an_engine_that_is_not_installed_comes_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from aedeploy.runtime.backends import openvino

    monkeypatch.setattr(openvino, "missing", lambda: "openvino")
    rows = {row["name"]: row for row in json.loads(run(app, ["list", "formats", "--json"]).stdout)["formats"]}
    assert rows["openvino"]["installed"] == "no: pip install 'aedeploy[openvino]'"
