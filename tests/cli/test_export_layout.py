"""``aedeploy export --layout``: lays out what the bundle has, and exports only what it must."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.cli.app import app

run = CliRunner().invoke


@pytest.fixture
def exported(exported_bundles: dict[str, Bundle], tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported_bundles["standardised-rgb"].path, tmp_path / "ein Modell"))


def test_what_is_there_is_laid_out_and_not_exported_again(exported: Path, tmp_path: Path) -> None:
    before = (exported / "bundle.json").read_bytes()
    result = run(app, ["export", str(exported), "--layout", "triton", str(tmp_path / "models"), "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    names = sorted(path.name for path in (tmp_path / "models").iterdir())
    assert answer["layout"] == {"name": "triton", "folder": str(tmp_path / "models"), "models": names}
    assert (exported / "bundle.json").read_bytes() == before
    again = run(app, ["export", str(exported), "--layout", "triton", str(tmp_path / "models"), "--overwrite"])
    assert again.exit_code == 0
    assert all(name in again.stdout for name in names)


def test_a_bundle_without_graphs_is_exported_first(trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    copy = shutil.copytree(trained_bundles["standardised-rgb"].path, tmp_path / "fresh")
    result = run(app, ["export", str(copy), "--layout", "triton", str(tmp_path / "models"), "--json"])
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["layout"]["models"]) == 3
    assert len(open_bundle(copy).manifest.graphs) == 3


def test_what_is_asked_for_is_exported_too(exported: Path, tmp_path: Path) -> None:
    arguments = ["--pixels", "uint8", "--layout", "triton", str(tmp_path / "models"), "--json"]
    result = run(app, ["export", str(exported), *arguments])
    assert result.exit_code == 0, result.output
    assert any(name.endswith("-onnx-uint8") for name in json.loads(result.stdout)["layout"]["models"])


@pytest.mark.parametrize(("layout", "message"), [("tritn", "did you mean 'triton'"), ("triton", "is not empty")])
def test_it_is_refused_before_anything_is_exported(exported: Path, tmp_path: Path, layout: str, message: str) -> None:
    before = (exported / "bundle.json").read_bytes()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.txt").write_text("mine")
    arguments = ["--format", "onnx", "--pixels", "uint8", "--layout", layout, str(tmp_path / "models"), "--json"]
    result = run(app, ["export", str(exported), *arguments])
    assert result.exit_code == 2
    assert message in json.loads(result.stdout)["error"]["message"]
    assert (exported / "bundle.json").read_bytes() == before
