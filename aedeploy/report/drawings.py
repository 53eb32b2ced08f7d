"""All pictures of a bundle that apply, made ready for a page; and those that do not, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from aedeploy.errors import AedeployError
from aedeploy.pictures import PAGE, Picture, Subject, draw, picture_names
from aedeploy.report.paths import Paths
from aedeploy.report.sprites import of_frames, of_points

#: The picture of a training, which has a section of its own.
TRAINING = "curves"

# What a reader wants to know first comes first.
_ORDER = (
    TRAINING,
    "reconstructions",
    "denoising",
    "latents",
    "manifold",
    "interpolation",
    "arithmetic",
    "samples",
    "traversals",
    "activity",
    "codebook",
    "kl",
    "filters",
    "feature-maps",
    "jacobian",
)
# Of several bundles, not of one.
_OF_OTHERS = frozenset({"sweep"})

# The figure's own points are 1/72 inch, a page's pixels 1/96.
_PIXELS_PER_POINT = 96 / 72


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture in a page. ``width``: its own, in pixels of the page. ``hover`` and ``frames`` are for the script."""

    kind: str
    title: str
    reading: str
    notes: tuple[str, ...]
    svg: str
    width: int
    hover: Mapping[str, Any] | None
    frames: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class NotDrawn:
    """A picture that is not there, and why, in a sentence."""

    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A picture is about to be drawn, the ``number``-th of ``total``, from 1."""

    kind: str
    number: int
    total: int


def report_pictures() -> list[str]:
    """The kinds that a report has, in their order; those that it does not know come last."""
    known = [name for name in picture_names() if name not in _OF_OTHERS]
    return sorted(known, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


def drawings(subject: Subject, kinds: Sequence[str], paths: Paths) -> Iterator[Begun | Drawing | NotDrawn]:
    """Draw one after the other: before each an event, after each what became of it. An error of one stops no other."""
    for number, kind in enumerate(kinds, 1):
        yield Begun(kind=kind, number=number, total=len(kinds))
        yield _one(kind, subject, paths)


def _one(kind: str, subject: Subject, paths: Paths) -> Drawing | NotDrawn:
    try:
        return _drawing(draw(kind, subject, theme=PAGE), paths)
    except AedeployError as error:
        return NotDrawn(kind=kind, reason=paths.hidden(str(error)))
    except Exception as error:
        # A fault of ours in one picture is no reason to be without the others.
        said = f"{type(error).__name__}: {error}".rstrip(". ")
        return NotDrawn(kind=kind, reason=paths.hidden(f"{said}. This was not foreseen: it is a fault of aedeploy."))


def _drawing(picture: Picture, paths: Paths) -> Drawing:
    svg = picture.svg(f"{picture.kind}-")
    return Drawing(
        kind=picture.kind,
        title=picture.title,
        reading=picture.reading,
        notes=tuple(map(paths.hidden, picture.notes)),
        svg=in_page(svg, f"{picture.title}. {picture.reading}"),
        width=_width(svg),
        hover=of_points(picture.hover) if picture.hover is not None else None,
        frames=of_frames(picture.frames) if picture.frames is not None else None,
    )


def in_page(svg: str, label: str) -> str:
    """An SVG element of matplotlib's, smaller, with a name for who cannot see it, and without its own style sheet:

    a page that says which style sheets are its own has no room for one, and it would hold for the whole page.
    """
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    svg = svg.replace("> <", "><").replace(' "', '"')
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" focusable="false" ', 1)


def _width(svg: str) -> int:
    box = re.search(r'viewBox="0 0 ([\d.]+) ', svg)
    return round(float(box[1]) * _PIXELS_PER_POINT) if box else 640
