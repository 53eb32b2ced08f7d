"""``aedeploy list``: the names that other commands take."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aedeploy.cli.app import app
from aedeploy.errors import MissingDependencyError
from aedeploy.recipes import recipe_names
from aedeploy.runtime import open as runtime_open

run = CliRunner().invoke

SOME = {
    "variants": {"ae", "mlp-32", "vae"},
    "formats": {"onnx", "torchscript"},
    "backends": {"eager", "onnxruntime", "torchscript"},
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
