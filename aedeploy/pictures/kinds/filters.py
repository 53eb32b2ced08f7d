"""The weights of the encoder's first layer, each unit's as an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import PictureError
from aedeploy.pictures.grid import figure_size, show
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import DIVERGING, Theme, new_figure
from aedeploy.pictures.weights import model_of

TITLE = "First-layer filters"


class Choices(Config):
    """What may be chosen."""

    count: int = Field(default=60, ge=1, le=400, description="Filters at the most; those of the largest weights.")


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    weights = first_filters(model_of(subject, "Filters"), subject.manifest.image)
    norms = np.linalg.norm(weights.reshape(len(weights), -1), axis=1)
    order = np.argsort(-norms, kind="stable")[: choices.count]
    chosen = weights[order]
    largest = float(np.abs(chosen).max()) or 1.0
    grey = weights.shape[3] == 1
    if grey:
        scale = Normalize(-largest, largest)
        images = mpl.colormaps[DIVERGING](scale(chosen[..., 0]), bytes=True)
    else:
        images = np.rint(127.5 + 127.5 * chosen / largest).astype(np.uint8)
    columns = min(12 if len(images) > 24 else 8, len(images))
    rows = [list(images[at : at + columns]) for at in range(0, len(images), columns)]
    width, height = figure_size(images.shape[1:], len(rows), columns)
    figure = new_figure(max(width, 3.0) + 0.9, max(height, 1.7))
    axes = figure.add_subplot()
    show(axes, rows)
    if grey:
        bar = figure.colorbar(ScalarMappable(scale, DIVERGING), ax=axes, shrink=0.8, aspect=25)
        bar.set_label("weight of a pixel")
        bar.outline.set_visible(False)
    left = len(weights) - len(order)
    return Picture(
        kind="filters",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "Each square is what one unit of the first layer looks for"
            + (
                ": it answers to pixels that are bright where the square has one colour and dark where it has the "
                "other."
                if grey
                else ", its weights as colours around grey, which stands for 0."
            )
        ),
        figures={"filters": len(weights), "size": list(weights.shape[1:3]), "largest_weight": largest},
        notes=(f"{left:,} more, of smaller weights, are not drawn.",) if left else (),
    )


def first_filters(model: Any, image: Any) -> np.ndarray:
    """The weights of the first layer by unit, float32 [units, h, w, channels]: of a fully connected one in the shape of
    the image, of a convolution in that of its kernel.

    Raises:
        PictureError: the first layer does not see pixels.
    """
    from torch import nn

    first = next((each for each in model.trunk.modules() if isinstance(each, nn.Conv2d | nn.Linear)), None)
    if first is None:
        # A trunk without layers: the bottleneck's own is the first.
        first = next((each for each in model.bottleneck.modules() if isinstance(each, nn.Conv2d | nn.Linear)), None)
    if first is None:
        raise PictureError("Filters: the encoder has no layer of weights that sees the image.")
    weight = first.weight.detach().float().numpy()
    if isinstance(first, nn.Linear):
        shape = (image.channels, image.height, image.width)
        if weight.shape[1] != np.prod(shape):
            raise PictureError(f"Filters: the first layer takes {weight.shape[1]:,} numbers, which are no pixels.")
        weight = weight.reshape(-1, *shape)
    if weight.shape[1] != image.channels:
        raise PictureError(
            f"Filters: the first layer works on {weight.shape[1]} channels that were made of the image's "
            f"{image.channels}, so its weights are no picture."
        )
    if min(weight.shape[2:]) < 2:
        raise PictureError("Filters: the first layer looks at single pixels, so its weights have no shape.")
    return np.ascontiguousarray(weight.transpose(0, 2, 3, 1))
