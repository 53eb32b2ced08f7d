"""One picture: what it shows, how to read it, and how it becomes a file."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aedeploy.errors import ConfigError
from aedeploy.evaluation.images import Failure
from aedeploy.files import replacing
from aedeploy.pictures.theme import PAGE, Theme, drawing, with_variables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The files that a picture can be, and matplotlib's name of each.
FORMATS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}

# No version, no date: the same picture is the same bytes.
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Creator": None, "Date": None, "Format": None, "Type": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


@dataclass(frozen=True, kw_only=True)
class HoverPoints:
    """Points of a picture that a page can answer for: where they are in the data's units of ``axes``, [N, 2], the image
    of each, uint8 [N, H, W, C], and what it is called.
    """

    axes: Axes
    points: np.ndarray
    images: np.ndarray
    names: Sequence[str]

    def places(self) -> np.ndarray:
        """Where the points are in the file that was written last: [N, 2], from (0, 0), its upper left, to (1, 1).

        Not before it is written: only then the layout is known, and drawing once more may move it by some pixels.
        """
        figure = self.axes.get_figure(root=True)
        assert figure is not None  # of axes that were drawn
        found = (self.axes.transData + figure.transFigure.inverted()).transform(self.points)
        return np.stack([found[:, 0], 1.0 - found[:, 1]], axis=1)


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Rows of images that a page can leaf through: ``rows`` of uint8 [T, H, W, C], what each is called, and ``steps``,
    what each of the T is.
    """

    rows: Sequence[np.ndarray]
    names: Sequence[str]
    steps: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawn picture.

    ``reading``: a sentence on how to read it. ``figures``: what was computed for it, in plain values for JSON.
    ``notes``: what must be known of it, in sentences. ``hover`` and ``frames`` are for pages that answer.
    ``failures``: of image files that no subject has read, those that could not be, of as many as were ``tried``.
    """

    kind: str
    title: str
    theme: Theme
    figure: Figure
    reading: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    hover: HoverPoints | None = None
    frames: Frames | None = None
    failures: tuple[Failure, ...] = ()
    tried: int = 0

    def save(self, path: Path) -> None:
        """Write it as PNG, SVG or PDF, by the file's name; whole or not at all.

        Raises:
            ConfigError: the name ends otherwise.
        """
        kind = format_of(path)
        with replacing(path) as partial:
            self._write(partial, kind)

    def svg(self, prefix: str) -> str:
        """An ``<svg>`` element for a page that sets the colours of :func:`aedeploy.pictures.theme.css`.

        Names within it begin with ``prefix``, so that several of them can be on one page. Of a picture in
        :data:`aedeploy.pictures.theme.PAGE` only.
        """
        if self.theme is not PAGE:
            raise ValueError(f"a picture for {self.theme.name} pages has the colours of those")
        stream = io.BytesIO()
        self._write(stream, "svg")
        _, _, element = stream.getvalue().decode().partition("<svg ")
        element = re.sub(r"\s*<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
        element = re.sub(r'(?<=[\s(])(id=")', rf"\g<1>{prefix}", element)
        element = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", element)
        # The page gives it its size; the box of the figure keeps its proportions.
        element = re.sub(r'\b(width|height)="[\d.]+pt"', "", element, count=2)
        return with_variables(f"<svg {element.strip()}")

    def _write(self, target: io.BytesIO | Path, kind: str) -> None:
        with drawing(self.theme):
            self.figure.savefig(target, format=kind, metadata=_METADATA[kind])


def format_of(path: Path) -> str:
    """matplotlib's name of what a file is to be.

    Raises:
        ConfigError: a picture cannot be such a file.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"{path.name}: a picture is written as {', '.join(FORMATS)}; end its name with one of them.")
    return kind
