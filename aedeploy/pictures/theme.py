"""The colours of pictures: for light pages, for dark ones, and for a page that is either."""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aedeploy.errors import MissingDependencyError, UnknownNameError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Of what has a size from 0 on, such as an error: even steps, also to colour-blind eyes and in grey.
SEQUENTIAL = "cividis"
#: Of what is above or below 0: orange and purple, which no kind of colour blindness confuses.
DIVERGING = "PuOr"

_DOTS_PER_INCH = 160
# A logarithmic axis of less than this ratio has few powers of ten to label.
_SHORT = 50.0
# Bars that have gaps between them, and that are bars of their own.
_GAPS, _MOST_BARS = 40, 256


@dataclass(frozen=True, kw_only=True)
class Theme:
    """``hues`` are for up to ten classes, in their order, and ``first`` and ``second`` for two curves.

    Every pair of hues differs by 25 or more in CIELAB (ΔE*76), as seen by normal eyes and, by the simulation of
    Machado et al. 2009 at its full severity, without one of the three cones; every hue has a contrast of 3 or more
    against the page (WCAG 2.2).
    """

    name: str
    page: str
    ink: str
    faint: str
    line: str
    hues: tuple[str, ...]

    @property
    def first(self) -> str:
        return self.hues[0]

    @property
    def second(self) -> str:
        return self.hues[1]


LIGHT = Theme(
    name="light",
    page="#ffffff",
    ink="#1f2328",
    faint="#59636e",
    line="#d1d9e0",
    hues=(
        "#3c2d96",
        "#c38700",
        "#009687",
        "#a50000",
        "#8700ff",
        "#78965a",
        "#e14bff",
        "#781e2d",
        "#a578c3",
        "#5a3c69",
    ),
)
DARK = Theme(
    name="dark",
    page="#0d1117",
    ink="#e6edf3",
    faint="#9aa4b0",
    line="#3d444d",
    hues=(
        "#5afff0",
        "#ffd20f",
        "#6969d2",
        "#ff2d00",
        "#3cb487",
        "#c3a5f0",
        "#b44b3c",
        "#c3f087",
        "#a55a96",
        "#961eff",
    ),
)

# Colours that no picture has: each stands for a variable of a style sheet, and is exchanged for it in the SVG.
_STANDS_FOR = {
    "#01fe00": "page",
    "#01fe01": "ink",
    "#01fe02": "faint",
    "#01fe03": "line",
    **{f"#01fd{at:02x}": f"hue-{at}" for at in range(10)},
}

# What is between two tags; or a property in one, and its colour.
_TEXT_OR_COLOUR = re.compile(r""">[^<]*|\b((?:fill|stroke|stop-color)(?::\s*|=["']))(#[0-9a-f]{6})""")

#: For an SVG inside a page: its colours are CSS variables, ``--page``, ``--ink``, … ``--hue-9``, set by :func:`css`.
PAGE = Theme(
    name="page",
    page="#01fe00",
    ink="#01fe01",
    faint="#01fe02",
    line="#01fe03",
    hues=tuple(f"#01fd{at:02x}" for at in range(10)),
)

#: What ``--theme`` takes.
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def theme_named(name: str) -> Theme:
    """The theme ``light`` or ``dark``.

    Raises:
        UnknownNameError: it is neither.
    """
    if name not in THEMES:
        raise UnknownNameError("theme", name, THEMES)
    return THEMES[name]


def css(theme: Theme) -> str:
    """The declarations that give a page's pictures the colours of a theme."""
    values = {"page": theme.page, "ink": theme.ink, "faint": theme.faint, "line": theme.line}
    values |= {f"hue-{at}": hue for at, hue in enumerate(theme.hues)}
    return " ".join(f"--{name}: {value};" for name, value in values.items())


def with_variables(svg: str) -> str:
    """The SVG of a picture drawn in :data:`PAGE`, its colours exchanged for CSS variables.

    Without its comments, into which matplotlib writes what is drawn as text. Text that looks like a colour stays.
    """
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    return _TEXT_OR_COLOUR.sub(lambda match: match[0] if match[2] is None else _exchanged(match[1], match[2]), svg)


def _exchanged(what: str, colour: str) -> str:
    return f"{what}var(--{_STANDS_FOR[colour]})" if colour in _STANDS_FOR else f"{what}{colour}"


def require_matplotlib() -> None:
    """Raise a MissingDependencyError where there is nothing to draw with."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingDependencyError("matplotlib", "pictures", "Drawing")


@contextmanager
def drawing(theme: Theme) -> Iterator[None]:
    """Draw, and write, in a theme's colours, off the screen, whatever the user's own settings of matplotlib are."""
    require_matplotlib()
    import matplotlib as mpl

    settings: dict[Any, Any] = {**mpl.rcParamsDefault, **_settings(theme)}
    # A figure of its own needs no backend, and the context would not give the user's back.
    settings.pop("backend", None)
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A letter that the font does not have is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that arranges its parts by itself. Within :func:`drawing`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def short(name: str, most: int = 24) -> str:
    """A name as it is drawn: a long one cut, so that it leaves the picture its room; its first letter is no mark that
    matplotlib's legends would take as theirs.
    """
    cut = name if len(name) <= most else f"{name[: most - 1]}…"
    return f" {cut}" if cut.startswith("_") else cut


def plain_ticks(axis: Any) -> None:
    """Label a logarithmic axis in plain figures, not as powers of ten: text that might be math is not taken as such.

    To be called when all is drawn: over a short range there are figures between the powers too.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    figures = FuncFormatter(lambda value, _: f"{value:g}")
    axis.set_major_formatter(figures)
    axis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axis.set_minor_formatter(figures if high < _SHORT * low else NullFormatter())


def bars(axes: Any, heights: Any, color: str, *, first: int = 0) -> None:
    """A bar for each of the heights, at ``first``, ``first`` + 1, …: of many, one path without gaps, since a page would
    have a rectangle for each.
    """
    count = len(heights)
    if count > _MOST_BARS:
        axes.stairs(heights, [first - 0.5 + at for at in range(count + 1)], fill=True, color=color)
    else:
        axes.bar(range(first, first + count), heights, width=0.8 if count <= _GAPS else 1.0, color=color)


def minus(figure: str) -> str:
    """A figure with the minus sign that matplotlib gives its own."""
    return figure.replace("-", "−")


def whole_ticks(axis: Any) -> None:
    """Label whole numbers only, such as epochs."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def _settings(theme: Theme) -> dict[str, Any]:
    from cycler import cycler

    return {
        "figure.facecolor": theme.page,
        "figure.dpi": _DOTS_PER_INCH,
        "savefig.dpi": _DOTS_PER_INCH,
        "savefig.facecolor": "none" if theme is PAGE else theme.page,
        "axes.facecolor": "none",
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.prop_cycle": cycler(color=theme.hues),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": theme.line,
        "grid.linewidth": 0.6,
        "text.color": theme.ink,
        "text.parse_math": False,  # a name with two dollar signs is a name
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "legend.frameon": False,
        # Large enough to be read where a page shows the picture at half its size.
        "font.size": 11.0,
        "axes.labelsize": 11.0,
        "axes.titlesize": 12.0,
        "lines.linewidth": 1.8,
        # The same picture is the same bytes.
        "svg.hashsalt": "aedeploy",
        "svg.fonttype": "path",
    }
