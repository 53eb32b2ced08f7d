"""What somebody wrote into a recipe is text in a program, whatever it looks like, and never code of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.embed import write_program
from aedeploy.embed.contract import contract_of

EVIL = (
    "\"'\\ */ --> </script><b>x</b> ${1 + 1} `q` \n\n# H\n@DIGEST@ ??/ \\u0041 é 漢 \u2028 \x00 ''' \"\"\" %s {0} \x7f"
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


def renamed(bundle: Bundle, folder: Path, recipe: dict[str, Any], **names: str) -> Bundle:
    opened = open_bundle(Path(shutil.copytree(bundle.path, folder)))
    return opened.save(opened.manifest.model_copy(update={"recipe": recipe, **names}))


def test_what_a_recipe_says_of_itself_is_text_wherever_it_is_put(bundle: Bundle, tmp_path: Path) -> None:
    evil = renamed(bundle, tmp_path / "evil", {"name": EVIL, "summary": EVIL, "source": EVIL}, name=EVIL)
    folder = write_program("python", evil, tmp_path / "program é '\"").folder
    ran = subprocess.run([sys.executable, folder / "main.py", "self-test"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    script = "import json; from contract import CONTRACT; print(json.dumps(CONTRACT))"
    read = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(read.stdout)["bundle"]["summary"] == EVIL
    javascript = write_program("node", evil, tmp_path / "node").folder / "contract.js"
    _, _, value = javascript.read_text(encoding="utf-8").partition("export const contract = ")
    assert json.loads(value.rstrip().removesuffix(";"))["bundle"]["summary"] == EVIL
    title, empty, first = (folder / "README.md").read_text(encoding="utf-8").split("\n")[:3]
    assert title.endswith("in Python")
    assert empty == ""
    assert "@DIGEST@" in first
    assert "<" not in first


def test_a_readme_has_a_sentence_where_a_recipe_says_nothing(bundle: Bundle, tmp_path: Path) -> None:
    folder = write_program("python", renamed(bundle, tmp_path / "mute", {}), tmp_path / "program").folder
    said = (folder / "README.md").read_text(encoding="utf-8")
    assert "\nA trained autoencoder (recipe `own model`), as a program" in said


@pytest.mark.parametrize(
    ("corruption", "sigma"),
    [
        ({"gaussian": {"sigma": 0.5}}, 0.5),
        ({"gaussian": {"sigma": [0.0, 0.6]}}, 0.6),
        ({"gaussian": {"sigma": 1}}, 1.0),
        ({"gaussian": {"sigma": ["a", 0.2]}}, 0.2),
        ({"gaussian": {"sigma": float("inf")}}, None),
        ({"gaussian": {"sigma": 10**400}}, None),
        ({"gaussian": None}, None),
        ({"mask": {"share": 0.2}}, None),
        ("much", None),
        (None, None),
    ],
)
def test_the_noise_that_a_model_removes_is_a_number_or_none(
    corruption: Any, sigma: float | None, bundle: Bundle
) -> None:
    noisy = bundle.manifest.model_copy(update={"recipe": {"corruption": corruption}})
    assert contract_of(replace(bundle, manifest=noisy), bundle.manifest.graphs)["noise_sigma"] == sigma
