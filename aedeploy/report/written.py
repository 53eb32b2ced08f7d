"""What somebody wrote in Markdown, taken apart: headings, paragraphs, lists, tables and code, all of them plain text.

It knows no HTML, no links and no pictures: what it does not know stays the text that it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "paragraph", "list", "table", "code"]

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"\s{0,3}(?:[-*+]|\d{1,3}[.)])\s+(.*)")
_RULE = re.compile(r"\|[\s:|-]+$")
_COMMAND = re.compile(r"  ((?:aedeploy|pip) [^`]+?)(  |(?=[.;,)]*$)|(?=, ))")
_SPAN = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of a line. ``look``: how it is set."""

    text: str
    look: Literal["plain", "code", "strong", "emphasis"] = "plain"


Line = tuple[Span, ...]


@dataclass(frozen=True, kw_only=True)
class Block:
    """``level`` of a heading, from 1. ``lines``: one, of a paragraph or heading; the items of a list. ``rows`` of a
    table, its head the first. ``text`` of code, with its line breaks.
    """

    kind: Kind
    level: int = 0
    lines: tuple[Line, ...] = ()
    rows: tuple[tuple[Line, ...], ...] = ()
    text: str = ""

    @property
    def length(self) -> int:
        """Characters."""
        lines = (*self.lines, *(cell for row in self.rows for cell in row))
        return len(self.text) + sum(len(span.text) for one in lines for span in one)


def blocks(text: str) -> tuple[Block, ...]:
    """The parts of a text, in their order."""
    return tuple(_blocks(text.expandtabs(4).splitlines()))


def sections(text: str) -> dict[str, str]:
    """What is below each heading of the second level, by its words."""
    found: dict[str, str] = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        found.setdefault(title.strip(), rest.strip())
    return found


def _blocks(lines: list[str]) -> Iterator[Block]:
    at = 0
    while at < len(lines):
        first = lines[at]
        heading = _HEADING.match(first)
        if not first.strip():
            at += 1
        elif first.lstrip().startswith("```"):
            end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == "```"), len(lines))
            yield Block(kind="code", text="\n".join(lines[at + 1 : end]))
            at = end + 1
        elif heading:
            yield Block(kind="heading", level=len(heading[1]), lines=(line(heading[2]),))
            at += 1
        elif first.startswith("|") and at + 1 < len(lines) and _RULE.match(lines[at + 1]):
            end = _while(lines, at, lambda one: one.startswith("|"))
            yield Block(kind="table", rows=tuple(_cells(one) for one in (first, *lines[at + 2 : end])))
            at = end
        elif _ITEM.match(first):
            end = _while(lines, at, lambda one: bool(_ITEM.match(one)) or one.startswith("  "))
            yield Block(kind="list", lines=tuple(_items(lines[at:end])))
            at = end
        else:
            end = max(at + 1, _while(lines, at, _goes_on))
            yield Block(kind="paragraph", lines=(line(" ".join(one.strip() for one in lines[at:end])),))
            at = end


def _goes_on(each: str) -> bool:
    return bool(each.strip()) and not (_HEADING.match(each) or _ITEM.match(each) or each.lstrip().startswith("```"))


def _while(lines: list[str], start: int, holds: Callable[[str], bool]) -> int:
    """The first line from ``start`` on that is no part of it any more."""
    return next((at for at in range(start, len(lines)) if not holds(lines[at])), len(lines))


def _items(lines: list[str]) -> Iterator[Line]:
    texts: list[str] = []
    for each in lines:
        item = _ITEM.match(each)
        if item:
            texts.append(item[1])
        else:
            texts[-1] += f" {each.strip()}"
    yield from map(line, texts)


def _cells(row: str) -> tuple[Line, ...]:
    inner = row.strip().removeprefix("|").removesuffix("|")
    return tuple(line(cell.strip().replace("\\|", "|")) for cell in re.split(r"(?<!\\)\|", inner))


def said(text: str) -> Line:
    """A sentence of aedeploy's own, in which two spaces are around a command."""
    return line(_COMMAND.sub(lambda match: f" `{match[1]}`{match[2][:1]}", text))


def line(text: str) -> Line:
    """A line with its `code`, **strong** and *emphasised* parts."""
    spans, end = [], 0
    for match in _SPAN.finditer(text):
        if match.start() > end:
            spans.append(Span(text=text[end : match.start()]))
        code, strong, emphasis = match.groups()
        if code is not None:
            spans.append(Span(text=code, look="code"))
        elif strong is not None:
            spans.append(Span(text=strong, look="strong"))
        else:
            spans.append(Span(text=emphasis, look="emphasis"))
        end = match.end()
    if end < len(text) or not spans:
        spans.append(Span(text=text[end:]))
    return tuple(spans)
