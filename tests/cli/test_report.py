"""``aedeploy report``: where the page is, what is on it, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from tiny_bundle import write_tiny_bundle
from typer.testing import CliRunner, Result

from aedeploy.cli.app import app as commands
from aedeploy.cli.report import report

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run it in a folder with a bundle in ``artifacts`` and twelve images in ``in``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("aedeploy.report.write.report_pictures", lambda: ["curves", "reconstructions", "latents", "kl"])
    write_tiny_bundle(Path("artifacts/tiny"))
    random = np.random.default_rng(0)
    for number in range(12):
        path = Path("in", f"class {number % 2}", f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    app = typer.Typer()
    app.command("report")(report)

    def run(*words: Any) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env={"NO_COLOR": "1", "COLUMNS": "200"})

    return run


def test_the_newest_bundle_gets_its_page(run: Run) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    page = Path("artifacts/tiny/report.html")
    assert result.stdout.startswith(f"{page}: 2 pictures, ")
    assert "2 pictures not drawn; the page says why" in result.stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_is_one_object(run: Run) -> None:
    result = run("tiny", "--data", "in", "--out", "new/page.html", "--limit", 8, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert list(found) == ["bundle", "report", "bytes", "pictures", "not_drawn", "failures", "seconds"]
    assert found["report"] == str(Path("new/page.html"))
    assert found["bytes"] == Path("new/page.html").stat().st_size
    assert found["pictures"] == ["reconstructions", "latents"]
    assert [one["kind"] for one in found["not_drawn"]] == ["curves", "kl"]
    assert not Path("artifacts/tiny/report.html").exists()


def test_a_file_that_cannot_be_read_is_listed(run: Run) -> None:
    Path("in/class 0/broken.png").write_bytes(b"no image")
    result = run("tiny", "--data", "in")
    assert result.exit_code == 3
    assert "1 file could not be read:" in result.stdout
    assert "class 0/broken.png: " in result.stdout
    assert "1 of the files could not be read" in Path("artifacts/tiny/report.html").read_text(encoding="utf-8")
    found = json.loads(run("tiny", "--data", "in", "--json").stdout)
    assert [failure["path"] for failure in found["failures"]] == ["class 0/broken.png"]


def test_verbose_says_what_is_not_drawn(run: Run) -> None:
    assert "kl: " not in run("--quiet").stderr
    assert "kl: The latent of 'tiny' is no gaussian" in run("--verbose").stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["tiny", "--bundle", "tiny"], 2, "both name a bundle"),
        (["tiny", "--out", "page.pdf"], 2, "end its name with .html"),
        (["tiny", "--data", "nowhere"], 2, "nowhere"),
        (["denoiser-gray"], 1, "came with the package"),
        (["tiny", "--backend", "none"], 2, "There is no backend 'none'"),
    ],
)
def test_refusals(words: list[str], code: int, said: str, run: Run) -> None:
    result = run(*words)
    assert result.exit_code == code
    assert said in result.stderr
    assert not Path("artifacts/tiny/report.html").exists()


def test_an_altered_graph_ends_with_exit_code_5_and_no_page(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    with open(bundle.path / "graphs/onnx/encoder.onnx", "ab") as stream:
        stream.write(b"\0")
    result = CliRunner().invoke(commands, ["report", str(bundle.path), "--json"])
    assert result.exit_code == 5
    assert json.loads(result.stdout)["error"]["type"] == "IntegrityError"
    assert "encoder.onnx" in result.stderr
    assert not (bundle.path / "report.html").exists()
