"""docs/own-models.md, carried out line by line: what it shows is what happens."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from aedeploy.cli.app import app
from aedeploy.data.digits import digits
from aedeploy.export.lint import rule_names
from aedeploy.models import own

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own-models.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the example and with photographs, such as they are."""
    (tmp_path / "photos").mkdir()
    for at, digit in enumerate(digits().held_out[:12]):
        Image.fromarray(digit[:, :, 0]).save(tmp_path / "photos" / f"{at:02}.png")
    shutil.copy(ROOT / "examples" / "own_model.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    monkeypatch.setattr(own, "_trusted", set())
    yield tmp_path
    sys.modules.pop("own_model", None)


def carry_out(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run one line of the page; what it prints, whether it went well or not."""
    program, *arguments = shlex.split(line)
    if program == "python":
        monkeypatch.setattr(sys, "argv", arguments)
        runpy.run_path(arguments[0], run_name="__main__")
        return ""
    assert program == "aedeploy"
    result = CliRunner().invoke(app, arguments)
    refused = "artifacts/other" in line
    assert result.exit_code == (2 if refused else 0), result.stderr
    return result.stdout + result.stderr


def test_the_page_does_what_it_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```(sh|python)\n(.*?)```(?:\n\n {4}(\S[^\n]*))?", PAGE, re.DOTALL)
    assert len(blocks) == 7
    for kind, code, answer in blocks:
        if kind == "python":
            exec(f"from pathlib import Path\n{code}", {})
            continue
        said = "".join(carry_out(line, monkeypatch) for line in code.splitlines())
        assert answer in said
    assert (folder / "latents").is_dir()
    assert (folder / "artifacts/small/graphs/torchscript/encoder.pt").is_file()
    assert len(list((folder / "images").glob("*.png"))) == 12
    assert not (folder / "artifacts/other").exists()


def test_the_page_has_every_rule_of_the_lint() -> None:
    assert set(re.findall(r"^\| `([a-z][a-z-]*)` \|", PAGE, re.MULTILINE)) == set(rule_names())


def test_the_page_has_every_option_of_an_own_model() -> None:
    from aedeploy.cli.own_model import OwnOptions

    for name in OwnOptions.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in PAGE
