"""What the tests of jobs on the command line share: a folder to run them in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle
from typer.testing import CliRunner, Result

from aedeploy.cli.app import app


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in a folder with three images in ``in`` and a bundle in ``artifacts``."""
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(Path("artifacts/tiny"), denoising=True)
    Path("in/sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", "sub/c.png")):
        Image.new("L", (16, 16), 50 * number).save(Path("in", name))

    def run(*words: Any, **options: Any) -> Result:
        environment = {"NO_COLOR": "1", "COLUMNS": "200"}
        return CliRunner().invoke(app, [str(word) for word in words], env=environment, **options)

    return run
