"""The examples of docs/embedding.md, read from the page.

``python tests/embed/specified_page.py`` writes what the targets themselves say into the page's table of them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "embedding.md"
TEXT = PAGE.read_text(encoding="utf-8")


def example(name: str) -> str:
    """What follows the marker of an example: a block without its fences, or a table."""
    _, marker, rest = TEXT.partition(f"<!-- example: {name} -->\n\n")
    if not marker:
        raise LookupError(f"{PAGE.name} has no example {name!r}")
    block = re.match(r"```\w*\n(.*?)```\n", rest, re.DOTALL)
    return block[1] if block else rest.partition("\n\n")[0]


def table(text: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()[2:]]


def lines_of_json(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def targets(text: str) -> str:
    """The page with its table of targets as they are; what it says of each in its own words stays."""
    from aedeploy.names import literals_in, names_in

    before, head, rest = text.partition("| target |")
    old, gap, after = rest.partition("\n\n")
    said = {row[0].strip("`"): row[1] for row in table(head + old)}
    rows = ["| target | what it is | graphs | what it needs |", "|---|---|---|---|"]
    for name in names_in("aedeploy.embed.targets"):
        facts = literals_in("aedeploy.embed.targets", name)
        formats = ", ".join(f"`{format}`" for format in facts["FORMATS"])  # type: ignore[union-attr]
        rows.append(f"| `{name}` | {said.get(name, '')} | {formats} | {facts['NEEDS']} |")
    return before + "\n".join(rows) + gap + after


def dumped(text: str) -> bytes:
    """The bytes of a hexdump: offset, up to 16 bytes, and what they look like."""
    return b"".join(bytes.fromhex(line[10:57]) for line in text.splitlines())


def dialogue(text: str) -> list[tuple[str, bytes]]:
    """Who speaks, ">" to the program and "<" from it, and the bytes, in turns."""
    turns: list[tuple[str, bytes]] = []
    for line in text.splitlines():
        said = bytes.fromhex(line[2:49])
        if turns and turns[-1][0] == line[0]:
            turns[-1] = (line[0], turns[-1][1] + said)
        else:
            turns.append((line[0], said))
    return turns


if __name__ == "__main__":
    PAGE.write_text(targets(TEXT), encoding="utf-8")
