"""One latent dimension after the other moved through its range, the rest held."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import PictureError
from aedeploy.pictures.grid import figure_size, show
from aedeploy.pictures.picture import Frames, Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, minus, new_figure

TITLE = "Traversals"

# Where a prior says what the range is: that many standard deviations to each side.
_PRIOR_RANGE = 3.0
_TAIL = 0.01


class Choices(Config):
    """What may be chosen."""

    image: str | int | None = Field(default=None, description="From which: a class, or the position of an image.")
    rows: int = Field(default=10, ge=1, le=64, description="Dimensions at the most; those that vary most.")
    steps: int = Field(default=9, ge=2, le=30, description="Images a dimension.")


def ranges(units: np.ndarray, steps: int, *, prior: bool) -> np.ndarray:
    """The values that each unit goes through, float64 [U, steps]: −3 … 3 of a prior N(0, 1), else the middle 98 % of
    its own values, ``units`` [U, M].
    """
    if prior:
        return np.tile(np.linspace(-_PRIOR_RANGE, _PRIOR_RANGE, steps), (len(units), 1))
    ends = np.quantile(units.astype(np.float64), [_TAIL, 1.0 - _TAIL], axis=1)
    return np.linspace(ends[0], ends[1], steps, axis=1)


def traversal(base: np.ndarray, unit: int, values: np.ndarray) -> np.ndarray:
    """Latents like ``base``, [U, …], but for one unit: float64 [steps, U, …].

    A number becomes each of the ``values``; a channel is moved as a whole, so that they become its mean.
    """
    moved = np.repeat(base[None].astype(np.float64), len(values), axis=0)
    places = moved.shape[2:]
    shift = values - base[unit].astype(np.float64).mean()
    moved[:, unit] += shift.reshape(-1, *(1 for _ in places))
    return moved


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    subject.require_codes_between("Traversals")
    place = 0 if choices.image is None else subject.place_of(choices.image, "image")
    if choices.image is None and subject.images.classes:
        place = subject.typical(subject.images.classes[0])
    units, prior = subject.units, subject.prior is not None and not subject.spatial
    if len(subject.pixels) < 2 and not prior:
        raise PictureError("One image has no range to go through: give more with --data.")
    kl = subject.kl
    known = kl is not None and bool(np.isfinite(kl).all())
    spread = kl if kl is not None and known else units.astype(np.float64).var(axis=1)
    order = np.argsort(-spread, kind="stable")[: choices.rows]
    values = ranges(units, choices.steps, prior=prior)
    rows = [subject.decode(traversal(subject.latents[place], at, values[at])) for at in order]
    measure = "KL" if known else "variance"
    names = [f"z{_subscript(int(at) + 1)}  {float(spread[at]):.3g}" for at in order]
    width, height = figure_size(subject.shape, len(rows), choices.steps)
    figure = new_figure(width + 1.7, max(height + 0.5, 1.7))
    axes = figure.add_subplot()
    heads = [minus(f"{value:+.2g}") for value in values[0]] if prior else _shares(choices.steps)
    show(axes, [list(row) for row in rows], names=names, heads=heads)
    # Two rows are lower than the words are long.
    size = 11 if len(rows) > 2 else 8
    axes.set_ylabel(f"{subject.unit_name}, {measure}{' in nats' if measure == 'KL' else ''}", fontsize=size)
    over = "−3 to 3, where the prior has nearly all of its draws" if prior else "the middle 98 % of its values"
    held = len(units) - len(rows)
    return Picture(
        kind="traversals",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            f"In each row one {subject.unit_name} goes through {over}, and all others stay as they are for one image: "
            f"what changes is what the {subject.unit_name} stands for, and a row that does not change stands for "
            "nothing."
        ),
        figures={
            "image": place,
            "units": [int(at) for at in order],
            measure.lower(): [float(spread[at]) for at in order],
            "change": [float(np.abs(np.diff(row.astype(np.float64), axis=0)).mean()) for row in rows],
        },
        notes=(f"{held:,} more of lower {measure} are not drawn.",) if held else (),
        frames=Frames(rows=rows, names=names, steps=heads),
    )


def _shares(steps: int) -> list[str]:
    return ["least", *[""] * (steps - 2), "most"]


def _subscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
