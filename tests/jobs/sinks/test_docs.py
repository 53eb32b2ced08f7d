"""docs/sinks.md says what its programs print."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs_snippets import PAGE, Snippet, prepare, snippets

SNIPPETS = snippets(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What jobs wrote."""
    path = tmp_path_factory.mktemp("sinks")
    prepare(path)
    return path


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[snippet.name for snippet in SNIPPETS])
def test_a_program_prints_what_the_page_says(snippet: Snippet, folder: Path) -> None:
    if snippet.missing:
        pytest.skip(f"{', '.join(snippet.missing)} is not installed: pip install -e '.[dev]'")
    assert snippet.run(folder) == snippet.output, "run  python tests/docs_snippets.py  and look at what changed"


def test_every_program_of_the_page_is_run() -> None:
    assert PAGE.read_text(encoding="utf-8").count("```python\n") == len(SNIPPETS) > 0
