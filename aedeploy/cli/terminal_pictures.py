"""Pictures that a terminal can show during training: curves of the losses, and a strip of reconstructions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite, log
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from rich.color import Color
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType

    from aedeploy.training.events import Event, Watched

_BLOCKS, _ASCII = "▁▂▃▄▅▆▇█", ".:-=+*#@"
_GAP = " "
# Where values span more than this factor, the low ones would all be one block.
_LOG_FACTOR = 10.0
_LABEL, _VALUE = 10, 11  # columns before and after a curve

_HALF = "▀"
_LARGEST_IMAGE = 28  # columns
_SIDE_BY_SIDE = 4  # images become smaller before there are fewer of them than that
# Lines of the window that are not the strip's images: the bar, the curves, two captions, some lines of epochs above.
_OTHER_LINES = 10
_LEAST_STRIP, _LEAST_CURVES = (60, 24), (40, 10)  # columns, lines of a window


class TerminalPictures:
    """Curves and strip of the events that it is shown; a renderable, in a live display and at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.curves = Curves()
        self.strip: Strip | None = None

    def show(self, event: Event) -> Curves | None:
        """Take an event in. Where it begins another phase: the curves of the one before, which are complete."""
        from aedeploy.training.events import EpochDone, Started, Watched

        complete = None
        if isinstance(event, Started):
            for past in event.history:
                self._epoch(past.phase, past.epoch, past.train_loss, past.held_out_loss)
        elif isinstance(event, EpochDone):
            complete = self._epoch(event.phase, event.epoch, event.train_loss, event.held_out_loss)
        elif isinstance(event, Watched) and shows_images(self.console):
            self.strip = Strip(event)
        return complete

    def _epoch(self, phase: str, epoch: int, train: float, held_out: float) -> Curves | None:
        """Losses of different phases are losses of different things: one scale would be none."""
        before = self.curves
        if before.phase not in (None, phase):
            self.curves = Curves()
        self.curves.add(phase, epoch, train, held_out)
        return before if self.curves is not before else None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield self.curves
        if self.strip is not None:
            yield self.strip


class SteadyLive(Live):
    """A live display whose updates a terminal shows all at once, rather than a strip that goes and comes again.

    By the mode "synchronized output", which terminals that do not know it leave alone.
    """

    def stop(self) -> None:
        """Stop, and wait for the thread that refreshes: one that is still at work when Python ends may abort it."""
        thread = self._refresh_thread
        super().stop()
        if thread is not None:
            thread.join()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Code("\x1b[?2026h"), *super().process_renderables(renderables), _Code("\x1b[?2026l")]


class _Code:
    def __init__(self, code: str) -> None:
        self.code = code

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        # Rich writes it as it is. It has no name for it: the one given is of something that does no harm.
        yield Segment(self.code, None, [(ControlType.CARRIAGE_RETURN,)])


def shows_images(console: Console) -> bool:
    """Whether these are the console of a person with enough colours to see an image, and a wish to see them."""
    return (
        _is_window(console)
        and not console.no_color
        and console.color_system in ("256", "truecolor")
        and _can_encode(console, _HALF)
    )


def shows_curves(console: Console) -> bool:
    """Whether somebody is looking: characters are enough."""
    return _is_window(console)


def _is_window(console: Console) -> bool:
    # Of FORCE_COLOR, rich takes a pipe for a terminal.
    return console.is_terminal and console.file.isatty() and not console.is_dumb_terminal and not console.quiet


def _can_encode(console: Console, text: str) -> bool:
    try:
        text.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From a value to one of so many levels, on a logarithmic scale where they span more than a factor of 10."""

    least: float
    most: float

    @property
    def logarithmic(self) -> bool:
        return self.least > 0.0 and self.most > _LOG_FACTOR * self.least

    def level(self, value: float, levels: int) -> int:
        """From 0 for the least to ``levels`` - 1 for the most."""
        if self.most <= self.least:
            return 0
        if self.logarithmic:
            share = log(value / self.least) / log(self.most / self.least)
        else:
            share = (value - self.least) / (self.most - self.least)
        return min(levels - 1, max(0, int(share * levels)))


def scale_of(values: Iterable[float]) -> Scale | None:
    """Of all numbers among them; None: there are none."""
    finite = [value for value in values if isfinite(value)]
    return Scale(least=min(finite), most=max(finite)) if finite else None


def sparkline(values: Sequence[float], scale: Scale, columns: int, ticks: str = _BLOCKS) -> str:
    """A character a value, or, where there are more values than columns, one for the mean of some in a row."""
    cells = np.array_split(np.asarray(values, dtype=np.float64), columns) if len(values) > columns else values
    means = (_mean(np.atleast_1d(cell)) for cell in cells)
    return "".join(_GAP if mean is None else ticks[scale.level(mean, len(ticks))] for mean in means)


def _mean(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


class Curves:
    """The losses of a phase's epochs, on a scale that both curves have in common."""

    def __init__(self) -> None:
        self.phase: str | None = None
        self.epochs: list[int] = []
        self.train: list[float] = []
        self.held_out: list[float] = []

    def add(self, phase: str, epoch: int, train: float, held_out: float) -> None:
        """Take in an epoch."""
        self.phase = phase
        self.epochs.append(epoch)
        self.train.append(train)
        self.held_out.append(held_out)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        scale = scale_of([*self.train, *self.held_out])
        if len(self.epochs) < 2 or scale is None or not _has_room(console, *_LEAST_CURVES):
            return
        ticks = _BLOCKS if _can_encode(console, _BLOCKS) else _ASCII
        columns = options.max_width - _LABEL - _VALUE
        for name, values, style in (("train", self.train, "cyan"), ("held out", self.held_out, "magenta")):
            line = Text(f"{name:<{_LABEL}}", no_wrap=True, overflow="crop")
            yield line.append(sparkline(values, scale, columns, ticks), style).append(f"  {values[-1]:.4g}")
        epochs = f"epochs {self.epochs[0]} to {self.epochs[-1]}"
        phase = "" if self.phase in (None, "joint") else f"{self.phase}, "
        how = ", logarithmic" if scale.logarithmic else ""
        legend = f"{ticks[0]} {scale.least:.4g}  {ticks[-1]} {scale.most:.4g}{how};  {phase}{epochs}"
        yield Text(" " * _LABEL + legend, "dim", no_wrap=True, overflow="ellipsis")


class Strip:
    """Images above their reconstructions, uint8 [n, H, W, C], as many as the window has room for."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.corrupted = not np.array_equal(watched.inputs, watched.originals)
        self._drawn: tuple[_Layout, _Row, _Row] | None = None  # once for a window of one size

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if not _has_room(console, *_LEAST_STRIP):
            return
        layout = _layout(self.watched.inputs.shape, options.max_width, console.size.height - _OTHER_LINES)
        if self._drawn is None or self._drawn[0] != layout:
            self._drawn = layout, _Row(self.watched.inputs, layout), _Row(self.watched.reconstructions, layout)
        _, above, below = self._drawn
        yield Text(f"held-out images{', corrupted' if self.corrupted else ''}", "dim", no_wrap=True)
        yield above
        yield Text(f"reconstructed after epoch {self.watched.epoch}", "dim", no_wrap=True)
        yield below


def _has_room(console: Console, columns: int, lines: int) -> bool:
    return console.size.width >= columns and console.size.height >= lines


class _Layout(NamedTuple):
    """The size of an image in a window's pixels, of which a line has two, and how many fit side by side."""

    height: int
    width: int
    images: int


def _layout(shape: tuple[int, ...], columns: int, lines: int) -> _Layout:
    images, height, width = shape[:3]
    widest = min(_LARGEST_IMAGE, (columns + 1) // min(images, _SIDE_BY_SIDE) - 1)
    shrunk = min(1.0, widest / width, 2 * (lines // 2) / height)
    height, width = max(1, round(height * shrunk)), max(1, round(width * shrunk))
    return _Layout(height, width, min(images, (columns + 1) // (width + 1)))


class _Row:
    """Images side by side, of two pixels a character: the upper half's colour is its own, the lower its background."""

    def __init__(self, images: np.ndarray, layout: _Layout) -> None:
        self.lines = list(_lines([_reduced(image, layout.height, layout.width) for image in images[: layout.images]]))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for line in self.lines:
            yield from line
            yield Segment.line()


def _reduced(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3]."""
    pillow = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    return np.asarray(pillow.resize((width, height), Image.Resampling.BOX))


def _lines(images: Sequence[np.ndarray]) -> Iterator[list[Segment]]:
    for y in range(0, images[0].shape[0], 2):
        line: list[Segment] = []
        for number, image in enumerate(images):
            if number:
                line.append(Segment(_GAP))
            lower = image[y + 1] if y + 1 < len(image) else None
            line += _runs(image[y], lower)
        yield line


def _runs(upper: np.ndarray, lower: np.ndarray | None) -> Iterator[Segment]:
    """A segment for each stretch of one colour: black margins are much of many images, and of what is sent."""
    cells = upper if lower is None else np.concatenate([upper, lower], 1)
    ends = [*(np.flatnonzero((cells[1:] != cells[:-1]).any(1)) + 1).tolist(), len(cells)]
    begin = 0
    for end in ends:
        yield Segment(_HALF * (end - begin), _style(*map(int, cells[begin])))
        begin = end


@lru_cache(maxsize=8192)
def _style(*levels: int) -> Style:
    """Of the upper pixel, and of the lower one if there is one: six levels, or three."""
    background = Color.from_rgb(*levels[3:]) if len(levels) > 3 else None
    return Style(color=Color.from_rgb(*levels[:3]), bgcolor=background)
