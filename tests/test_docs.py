"""The pages that are read from the code are up to date, and every command explains itself by an example."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
import typer
from jsonschema import Draft202012Validator
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle.shipped import shipped_bundle, shipped_names
from aedeploy.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [command.name for command in app.registered_commands if command.name]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py, as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["commands.md", "bundle.schema.json"])
def test_a_generated_page_is_up_to_date(generate: ModuleType, name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == generate.PAGES[name](), f"docs/{name} is out of date: run  make docs  and commit it"


def test_the_reference_does_not_depend_on_the_terminal(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = set()
    for columns, colour in [("40", "1"), ("200", "")]:
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("TERMINAL_WIDTH", columns)
        monkeypatch.setenv("FORCE_COLOR", colour)
        pages.add(generate.commands())
    assert len(pages) == 1


def test_the_commands_are_those_of_the_design() -> None:
    assert COMMANDS == [
        "train",
        "sweep",
        "export",
        "parity",
        "verify",
        "inspect",
        "evaluate",
        "bench",
        "report",
        "plot",
        "embed",
        "conform",
        "encode",
        "decode",
        "reconstruct",
        "denoise",
        "list",
        "demo",
    ]


@pytest.mark.parametrize("name", COMMANDS)
class TestEveryCommand:
    def help_of(self, name: str) -> str:
        group = typer.main.get_command(app)
        command = group.commands[name]  # type: ignore[attr-defined]  # Typer's own click group
        return command.help or ""

    def test_has_a_help_text_that_begins_with_a_sentence(self, name: str) -> None:
        assert re.match(r"[A-Z].*[^\s]$", self.help_of(name).partition("\n")[0])

    def test_has_an_example(self, name: str) -> None:
        _, heading, example = self.help_of(name).partition("Example")
        assert heading, f"aedeploy {name} --help shows no example"
        assert re.search(rf"^\s+aedeploy {name}\b", example, re.MULTILINE)

    def test_has_the_options_that_all_have(self, name: str) -> None:
        command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--quiet", "--verbose", "--debug"} <= options

    def test_has_a_help_text_for_every_option(self, name: str) -> None:
        command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
        silent = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]
        assert silent == []

    def test_is_in_the_reference(self, name: str) -> None:
        assert f"\n## `aedeploy {name}`\n" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    def test_is_in_the_readme(self, name: str) -> None:
        assert re.search(rf"(aedeploy |`){name}\b", (ROOT / "README.md").read_text(encoding="utf-8"))


def test_the_published_schema_takes_a_real_manifest_and_no_other_key(tmp_path: Path) -> None:
    schema = json.loads((ROOT / "docs" / "bundle.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    bundle = write_tiny_bundle(tmp_path / "tiny")
    manifest = json.loads((bundle.path / "bundle.json").read_text(encoding="utf-8"))
    assert list(validator.iter_errors(manifest)) == []
    assert not validator.is_valid({**manifest, "extra": 1})


def test_the_page_of_denoising_is_of_the_weights_that_are_shipped() -> None:
    page = (ROOT / "docs" / "denoising.md").read_text(encoding="utf-8")
    for name in shipped_names():
        assert shipped_bundle(name).manifest.weights.sha256[:12] in page, name


def test_the_page_of_denoising_links_every_picture_of_it() -> None:
    page = (ROOT / "docs" / "denoising.md").read_text(encoding="utf-8")
    pictures = {path.name for path in (ROOT / "docs").glob("denoising-*.png")}
    assert pictures
    assert {name for name in pictures if f"]({name})" not in page} == set()


def test_no_tracked_page_names_a_path_of_the_machine_that_wrote_it() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*"), ROOT / "constraints.txt", ROOT / "Makefile"]:
        if page.is_file():
            content = page.read_bytes()  # a picture may name one too
            assert str(ROOT).encode() not in content, page.name
            assert str(Path.home()).encode() not in content or str(Path.home()) == "/", page.name
