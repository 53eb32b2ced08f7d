"""The page: all that is on it, and how that becomes one file of HTML that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, ClassVar

from aedeploy.errors import MissingDependencyError
from aedeploy.pictures.theme import DARK, LIGHT, css
from aedeploy.report.drawings import Drawing
from aedeploy.report.graphs import Verdict
from aedeploy.report.tables import Note, Table
from aedeploy.report.written import Block, said


@dataclass(frozen=True, kw_only=True)
class Prose:
    """What somebody wrote. ``label``: it is folded away behind that, until somebody opens it."""

    part: ClassVar[str] = "prose"

    blocks: tuple[Block, ...]
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Pairs of a name and what it is."""

    part: ClassVar[str] = "facts"

    pairs: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Code:
    """A text as it is, folded away behind its label."""

    part: ClassVar[str] = "code"

    label: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture. ``heading``: whether it needs one of its own in its section."""

    part: ClassVar[str] = "figure"

    drawing: Drawing
    heading: bool = True


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Pictures that are not there, those with the same reason together."""

    part: ClassVar[str] = "missing"

    reasons: Mapping[str, tuple[str, ...]]


Part = Prose | Facts | Code | Figure | Missing | Table | Note


@dataclass(frozen=True, kw_only=True)
class Section:
    """``reading``: a sentence on how to read it."""

    id: str
    title: str
    reading: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """No date but those of the bundle: its page is the same at any time."""

    name: str
    summary: str
    source: str
    verdict: Verdict
    facts: Mapping[str, str]
    sections: tuple[Section, ...]
    version: str


def require_jinja() -> None:
    """Raise a MissingDependencyError where there is nothing to write a page with."""
    if importlib.util.find_spec("jinja2") is None:
        raise MissingDependencyError("jinja2", "pictures", "The report")


def render(page: Page) -> bytes:
    """The file, in UTF-8.

    Every text is escaped; the only markup that is taken over as it is are the SVG elements of drawings.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    require_jinja()
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=DictLoader({"template.html": _source("template.html")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _style(), _source("script.js")
    html = environment.get_template("template.html").render(
        page=page,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        markup=Markup,
        said=said,
    )
    # A file's name may be no text, where it labels an image.
    return html.encode("utf-8", errors="backslashreplace")


def _source(name: str) -> str:
    return files("aedeploy.report").joinpath(name).read_text(encoding="utf-8")


def _style() -> str:
    light, dark = css(LIGHT), css(DARK)
    return (
        f":root {{ {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"@media print {{ :root {{ {light} }} }}\n"
        f"{_source('style.css')}"
    )


def _policy(style: str, script: str) -> str:
    """What the page may load and run: nothing, but its own two texts, and pictures that are in it.

    Elements of matplotlib's SVG have style attributes. A browser that does not know how to tell them from style sheets
    goes by style-src.
    """
    rules: dict[str, Any] = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "style-src-elem": _hash(style),
        "style-src-attr": "'unsafe-inline'",
        "script-src": _hash(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{rule} {allowed}" for rule, allowed in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
