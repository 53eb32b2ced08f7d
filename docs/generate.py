"""Write the pages that are read from the code: ``make docs``. A test fails when one of them is out of date.

commands.md           every command and option, from the command line itself
bundle.schema.json    what a bundle's manifest may say, as JSON Schema
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def commands() -> str:
    """The command reference, in Markdown, by Typer's own generator."""
    generator = [sys.executable, "-m", "typer", "aedeploy.cli.app", "utils", "docs"]
    # Width and colour of whoever runs this must not show.
    plain = {**os.environ, "COLUMNS": "120", "TERMINAL_WIDTH": "120", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [*generator, "--name", "aedeploy", "--title", "Commands"], env=plain, capture_output=True, check=True
    )
    text = "\n".join(line.rstrip() for line in done.stdout.decode().splitlines()).strip()
    # The generator cuts the list of commands at 45 letters; their sections have the whole line.
    for name, summary in re.findall(r"^## `aedeploy ([\w-]+)`\n\n(.+)$", text, re.MULTILINE):
        text = re.sub(rf"^\* `{name}`: .*$", f"* [`{name}`](#aedeploy-{name}): {summary}", text, flags=re.MULTILINE)
    return f"<!-- Written by docs/generate.py: change the commands, then run make docs. -->\n\n{text}\n"


def schema() -> str:
    """The JSON Schema of ``bundle.json``."""
    from aedeploy.bundle import SCHEMA_VERSION, Manifest

    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Schema version {SCHEMA_VERSION}. Written by docs/generate.py.",
        **Manifest.model_json_schema(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


PAGES = {"commands.md": commands, "bundle.schema.json": schema}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
        print(f"docs/{name}")
