"""How latent numbers are distributed, and how active each dimension is."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from aedeploy.config import Config
from aedeploy.evaluation.gaussian import ACTIVE_VARIANCE
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, bars, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = "Activity of the latent"

_BINS = 60
# From this share of exact zeros on a latent is sparse: a black image may well give some in any.
_SPARSE = 0.01


class Choices(Config):
    """Nothing."""


def activity(units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each unit's values, [U, M], the standard deviation and the share that is not exactly 0: float64 [U] each."""
    return units.astype(np.float64).std(axis=1), (units != 0.0).mean(axis=1)


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    units, name = subject.units, subject.unit_name
    spread, used = activity(units)
    zeros = float((units == 0.0).mean())
    dead = int((used == 0.0).sum())
    silent = int((np.square(spread) <= ACTIVE_VARIANCE).sum())
    # Of a codebook, 0 is a code like any other.
    latent = subject.manifest.latent
    sparse = zeros >= _SPARSE and (latent is None or latent.codebook_size is None)
    figure = new_figure(8.2, 3.4)
    left, right = figure.subplots(1, 2)
    _histogram(left, units[units != 0.0] if sparse and zeros < 1.0 else units.ravel(), subject, theme)
    left.set_xlabel("value of a latent number" + (", those of 0 left out" if sparse and zeros < 1.0 else ""))
    shown = np.sort(100.0 * used if sparse else spread)[::-1]
    bars(right, shown, theme.first, first=1)
    right.set_xlabel(f"{name}s, the most active first")
    right.set_ylabel("not 0, % of images" if sparse and not subject.spatial else "not 0, %" if sparse else "std")
    right.grid(visible=False, axis="x")
    whole_ticks(right.xaxis)
    told = f"{zeros:.1%} of all latent numbers are exactly 0" if sparse else f"{silent} of {len(units)} hardly vary"
    return Picture(
        kind="activity",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "Left, how often which values occur"
            + (", beside N(0, 1), what the prior asks for" if subject.prior is not None else "")
            + f"; right, how active each {name} is: an even slope means shared work, a cliff unused {name}s. {told}."
        ),
        figures={
            "zeros": zeros,
            "nonzero_per_image": float((subject.flat != 0.0).sum(axis=1).mean()),
            "units": len(units),
            "dead_units": dead,
            "silent_units": silent,
            "std": [round(float(value), 6) for value in spread[:256]],
        },
        notes=(f"{dead} of {len(units)} {name}s are 0 for every image.",) if dead else (),
    )


def _histogram(axes: Axes, values: np.ndarray, subject: Subject, theme: Theme) -> None:
    low, high = np.quantile(values.astype(np.float64), [0.001, 0.999])
    edges = np.linspace(low, high, _BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])
    axes.hist(values, bins=list(edges), density=True, color=theme.first, alpha=0.85)
    if subject.prior is not None:
        at = np.linspace(low, high, 200)
        axes.plot(at, [NormalDist().pdf(value) for value in at], color=theme.second, label="N(0, 1)")
        axes.legend(fontsize=10)
    axes.set_ylabel("density")
