"""Originals over reconstructions and the error at each pixel: the best, the median and the worst cases."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.pictures.grid import figure_size, show
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import SEQUENTIAL, Theme, new_figure

TITLE = "Reconstructions"


class Choices(Config):
    """What may be chosen."""

    columns: int = Field(default=8, ge=1, le=20, description="Images of each case.")


def cases(errors: np.ndarray, columns: int) -> dict[str, list[int]]:
    """The positions of the best, the median and the worst by their errors, [N], no image twice.

    Of fewer than three images all, as one case.
    """
    order = np.argsort(errors, kind="stable").tolist()
    if len(order) < 3:
        return {"all": order}
    each = min(columns, len(order) // 3)
    middle = (len(order) - each) // 2
    return {"best": order[:each], "median": order[middle : middle + each], "worst": order[-each:]}


def pixel_errors(originals: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """How far off each pixel is, the mean over its channels: float64 [N, H, W] in [0, 1]."""
    difference = np.abs(originals.astype(np.float64) - reconstructions) / 255.0
    found: np.ndarray = difference.mean(axis=3)
    return found


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    chosen = cases(subject.errors, choices.columns)
    shown = [place for places in chosen.values() for place in places]
    error = pixel_errors(subject.pixels[shown], subject.reconstructions[shown])
    scale = Normalize(0.0, max(float(error.max()), 1 / 255))
    coloured = dict(zip(shown, mpl.colormaps[SEQUENTIAL](scale(error), bytes=True), strict=True))
    width, height = figure_size(subject.shape, 3 * len(chosen), max(map(len, chosen.values())))
    figure = new_figure(max(width + 2.8, 4.6), height + 0.4 * len(chosen) + 0.25)
    every = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
    for axes, (case, places) in zip(every, chosen.items(), strict=True):
        rows = [[picture[p] for p in places] for picture in (subject.pixels, subject.reconstructions, coloured)]
        names = ["original" if case == "all" else case, "reconstruction", "error"]
        show(axes, rows, names=names, feet=[f"{subject.errors[p]:.2g}" for p in places])
        axes.tick_params(axis="x", labelsize=9)
    said = "mean squared error of the image, pixels in [0, 1]"
    # Of a few images the words are wider than all of them.
    every[-1].set_xlabel(said.replace(", p", ",\np") if len(places) < 5 else said, fontsize=10)
    bar = figure.colorbar(ScalarMappable(scale, SEQUENTIAL), ax=list(every), shrink=0.6, aspect=30)
    bar.set_label("error of a pixel, |difference| in [0, 1]")
    bar.outline.set_visible(False)
    return Picture(
        kind="reconstructions",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "Each column is an image, what the model makes of it, and where the two differ (brighter: more)"
            + (
                "."
                if "all" in chosen
                else "; the best, median and worst by mean squared error show what is typical and what goes wrong."
            )
        ),
        figures={
            "images": len(subject.errors),
            "mse_best": float(subject.errors.min()),
            "mse_median": float(np.median(subject.errors)),
            "mse_worst": float(subject.errors.max()),
        },
    )
