"""What the decoder makes of a grid over a latent of two numbers."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import PictureError
from aedeploy.pictures.grid import show
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, minus, new_figure

TITLE = "The manifold"

# The middle 98 % of the data: a single far image would stretch the map to nothing.
_TAIL = 0.01


class Choices(Config):
    """What may be chosen."""

    side: int = Field(default=16, ge=2, le=40, description="Images a side.")


def prior_steps(side: int) -> np.ndarray:
    """Values between which N(0, 1) has equal shares: the quantiles (i + ½) / side, float64 [side]."""
    return np.array([NormalDist().inv_cdf((at + 0.5) / side) for at in range(side)])


def data_steps(values: np.ndarray, side: int) -> np.ndarray:
    """Even steps over the middle 98 % of values, [N]: float64 [side]."""
    low, high = np.quantile(values.astype(np.float64), [_TAIL, 1.0 - _TAIL])
    return np.linspace(low, high, side)


def grid(across: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Latents of a grid, its first row the highest ``up``: float32 [len(up) · len(across), 2]."""
    xs, ys = np.meshgrid(across, up[::-1])
    return np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float32)


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    subject.require_codes_between("The manifold")
    flat = subject.flat
    if flat.shape[1] != 2:
        raise PictureError(
            f"The manifold is drawn of a latent of two numbers, and {subject.name!r} has {flat.shape[1]:,}: see the "
            "traversals, or train with --latent-dim 2."
        )
    if len(flat) < 2 and subject.prior is None:
        raise PictureError("One image has no range to draw the manifold over: give more with --data.")
    side = choices.side
    if subject.prior is not None:
        across = up = prior_steps(side)
        over = "the quantiles of N(0, 1), so that every cell is as likely as any other under the prior"
    else:
        across, up = (data_steps(flat[:, at], side) for at in range(2))
        over = "the range that holds the middle 98 % of the images' latents in each direction"
    images = subject.decode(grid(across, up))
    figure = new_figure(6.6, 6.6 * subject.shape[0] / subject.shape[1])
    axes = figure.add_subplot()
    show(axes, [list(images[at * side : (at + 1) * side]) for at in range(side)])
    ticks = np.unique(np.linspace(0, side - 1, 5).round().astype(int))
    axes.set_xticks(ticks + 0.5, [minus(f"{across[at]:.2f}") for at in ticks])
    axes.set_yticks(side - ticks - 0.5, [minus(f"{up[at]:.2f}") for at in ticks])
    axes.set_xlabel("z₁")
    axes.set_ylabel("z₂")
    return Picture(
        kind="manifold",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=f"Each image is decoded from its place in the plane, over {over}; smooth changes mean a smooth map.",
        figures={"across": across.tolist(), "up": up.tolist(), "over": "prior" if subject.prior else "data"},
    )
