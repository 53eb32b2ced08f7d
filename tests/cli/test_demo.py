"""The whole chain as ``make demo`` runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from tiny_bundle import write_tiny_bundle
from typer.testing import CliRunner

from aedeploy.bundle import open_bundle
from aedeploy.cli.app import app


def test_the_demo_does_all_that_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["demo", "--json", "--quiet"])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert result.stderr == ""
    assert report["parity"]["passed"] is True
    assert 0 < report["parity"]["max_error"] < 1e-4
    assert report["train"]["test"]["mse"] < 0.0675 / 3  # a third of what the mean image would give
    assert report["psnr"]["denoised"] > report["psnr"]["noisy"] + 3
    for job in ("encode", "decode", "reconstruct", "denoise"):
        assert (report["jobs"][job]["ok"], report["jobs"][job]["failed"]) == (200, 0)
    files = tmp_path / report["files"]
    for folder in ("images", "noisy", "decoded", "reconstructed", "denoised"):
        assert len(list((files / folder).glob("*.png"))) == 200
    assert parquet.read_table(files / "latents").num_rows == 200
    assert (tmp_path / report["picture"]).is_file()


def test_the_demo_replaces_nothing_that_it_did_not_make(tmp_path: Path) -> None:
    own = write_tiny_bundle(tmp_path / "own")
    result = CliRunner().invoke(app, ["demo", "--out", str(own.path)])
    assert result.exit_code == 2
    assert "no demo made it" in result.stderr
    assert open_bundle(own.path).manifest == own.manifest
    assert not (tmp_path / "own-files").exists()
