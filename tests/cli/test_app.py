"""The command line as a whole: its ways in, its exit codes, its silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_bundle import write_tiny_bundle
from typer.testing import CliRunner

from aedeploy import __version__
from aedeploy.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("aedeploy")

run = CliRunner().invoke


@pytest.mark.parametrize(
    "way_in",
    [[COMMAND], [sys.executable, "-m", "aedeploy"], [sys.executable, ROOT / "cli.py"]],
    ids=["aedeploy", "-m", "cli.py"],
)
def test_every_way_in_is_the_same_command(way_in: list[str | Path], tmp_path: Path) -> None:
    done = subprocess.run([*map(str, way_in), "--version"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == f"aedeploy {__version__}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_begins_with_how_to_call_it(option: str) -> None:
    result = run(app, [option])
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train", "--epoch", "1"], "--epochs"),
        (["encode"], "Missing argument 'INPUT'"),
        (["export", "--opset", "many"], "--opset"),
    ],
)
def test_wrong_usage_is_said_on_stderr_with_exit_code_2(arguments: list[str], message: str) -> None:
    result = run(app, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr


def test_an_error_is_one_line_and_its_traceback_is_behind_debug(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    plain = run(app, ["inspect", missing])
    assert plain.exit_code == 1
    assert plain.stdout == ""
    reason = "there is no such folder. Train one with  aedeploy train, or name another."
    assert plain.stderr == f"Error: {missing} is not a bundle: {reason}\n"
    assert "Traceback" in run(app, ["inspect", missing, "--debug"]).stderr


def test_an_error_is_an_object_with_json(tmp_path: Path) -> None:
    result = run(app, ["inspect", str(tmp_path / "none"), "--json"])
    answer = json.loads(result.stdout)
    assert answer["exit_code"] == result.exit_code == 1
    assert answer["error"]["type"] == "BundleError"


@pytest.mark.skipif(os.name == "nt", reason="the shell is bash")
@pytest.mark.parametrize(("word", "completions"), [("tr", {"train"}), ("de", {"decode", "demo", "denoise"})])
def test_the_shell_completes_commands(word: str, completions: set[str]) -> None:
    asking = {"_AEDEPLOY_COMPLETE": "complete_bash", "COMP_WORDS": f"aedeploy {word}", "COMP_CWORD": "1"}
    done = subprocess.run([COMMAND], env={**os.environ, **asking}, capture_output=True, text=True, check=False)
    assert set(done.stdout.split()) == completions


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal is needed")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_on_a_terminal_unless_no_color(tmp_path: Path, no_color: str, coloured: bool) -> None:
    import pty

    write_tiny_bundle(tmp_path / "tiny")
    shown, terminal = pty.openpty()
    outer = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")}
    environment = {**outer, "TERM": "xterm-256color", **({"NO_COLOR": no_color} if no_color else {})}
    with subprocess.Popen([COMMAND, "inspect", tmp_path / "tiny"], stdout=terminal, env=environment) as process:
        os.close(terminal)
        text = b""
        # Linux ends a terminal that nobody holds any more with an error, other systems with nothing.
        try:
            while piece := os.read(shown, 4096):
                text += piece
        except OSError:
            pass
    os.close(shown)
    assert process.returncode == 0
    assert (b"\x1b[32m" in text) is coloured


def test_a_pipe_that_closes_early_is_no_traceback(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    with subprocess.Popen(
        [COMMAND, "inspect", tmp_path / "tiny", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_wrong_usage_is_a_json_object_too(tmp_path: Path) -> None:
    done = subprocess.run([COMMAND, "encode", "--json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2
    assert "Missing argument" in done.stderr


def test_a_fault_of_ours_is_one_sentence_and_one_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down() -> None:
        raise ZeroDivisionError("something of ours")

    monkeypatch.setattr("aedeploy.recipes.recipe_names", break_down)
    result = run(app, ["list", "variants", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["type"] == "ZeroDivisionError"
    assert "something of ours" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in run(app, ["list", "variants", "--debug"]).stderr


def test_a_name_with_brackets_is_not_markup(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "model [v2]")
    bundle.save(bundle.manifest.model_copy(update={"name": "x[/y]"}))
    assert "x[/y]" in run(app, ["inspect", str(bundle.path)]).stdout
    assert "model [v2]" in run(app, ["verify", str(bundle.path)]).stdout
