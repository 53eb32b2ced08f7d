"""What ``aedeploy export`` takes beside formats: the lint alone, tolerances, and where the time goes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.cli.app import app
from aedeploy.cli.stopwatch import Stopwatch

run = CliRunner().invoke


@pytest.fixture
def own(trained_bundles: dict[str, Bundle], tmp_path: Path) -> Path:
    """A bundle without graphs."""
    shutil.copytree(trained_bundles["mlp-32"].path, tmp_path / "own")
    return tmp_path / "own"


def test_lint_only_says_what_it_finds_and_writes_nothing(own: Path) -> None:
    before = sorted(path.name for path in own.rglob("*"))
    result = run(app, ["export", str(own), "--lint-only", "--json"])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["bundle"] == str(own)
    assert all(finding["severity"] == "warning" for finding in report["findings"])
    assert "lint" in report["seconds"]
    assert sorted(path.name for path in own.rglob("*")) == before
    assert "rules" in run(app, ["export", str(own), "--lint-only"]).stdout


def test_json_has_the_findings_and_the_seconds_of_each_stage(own: Path) -> None:
    result = run(app, ["export", str(own), "--format", "torchscript", "--no-parity", "--json"])
    report = json.loads(result.stdout)
    assert isinstance(report["findings"], list)
    assert list(report["seconds"])[:3] == ["start and imports", "model", "lint"]
    assert "torchscript encoder" in report["seconds"]


def test_verbose_says_where_the_time_goes(own: Path) -> None:
    result = run(app, ["export", str(own), "--format", "torchscript", "--verbose"])
    assert result.exit_code == 0, result.stderr
    stages = re.findall(r"^ *[\d,]+\.\d\d s  (.+)$", result.stderr, re.MULTILINE)
    assert stages[0] == "start and imports"
    assert stages[-1] == "parity"
    assert not re.search(r"\d s  ", run(app, ["export", str(own), "--format", "torchscript", "--no-parity"]).stderr)


def test_a_tolerance_is_passed_on_and_recorded(own: Path) -> None:
    strict = run(app, ["export", str(own), "--tolerance", "latent=1e-12", "--quiet"])
    assert strict.exit_code == 5
    assert {graph.parity for graph in open_bundle(own).manifest.graphs} >= {"failed"}
    wide = run(app, ["export", str(own), "--tolerance", "latent=1e-3"])
    assert wide.exit_code == 0, wide.stderr
    assert "latent" in wide.stderr
    assert run(app, ["export", str(own), "--tolerance", "colour=1"]).exit_code == 2


def test_the_stopwatch_begins_with_the_process() -> None:
    code = (
        "import time; time.sleep(0.3)\n"
        "from aedeploy.cli.stopwatch import Stopwatch\n"
        "watch = Stopwatch(); watch.lap('start'); print(watch.seconds['start'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if sys.platform == "linux":
        assert float(done.stdout) >= 0.3
    watch = Stopwatch()
    watch.lap("first")
    watch.add({"second": 2.0})
    assert list(watch.seconds) == ["first", "second"]
