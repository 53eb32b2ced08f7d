"""What the encoder's convolutions make of one image, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import ConfigError, PictureError
from aedeploy.images.pixels import to_floats
from aedeploy.pictures.grid import CELL_INCHES, enlarged, show
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import DIVERGING, Theme, new_figure
from aedeploy.pictures.weights import model_of

TITLE = "Feature maps"

_MOST_LAYERS = 4


class Choices(Config):
    """What may be chosen."""

    image: str | int = Field(default=0, description="A class, or the position of an image.")
    layers: list[str] | None = Field(
        default=None, min_length=1, description="Names of layers; by default up to four, evenly spaced."
    )
    channels: int = Field(default=8, ge=1, le=16, description="Of each layer: those that vary most over the image.")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The output of one layer for one image: float32 [channels, height, width]."""

    name: str
    kind: str
    maps: np.ndarray


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    import matplotlib as mpl

    place = subject.place_of(choices.image, "image")
    model = model_of(subject, "Feature maps")
    layers = feature_maps(model, to_floats(subject.pixels[place : place + 1]))
    if not layers:
        raise PictureError(f"The encoder of {subject.name!r} has no convolutions, so it has no feature maps.")
    chosen = _chosen(layers, choices.layers)
    columns = choices.channels + 1
    figure = new_figure(CELL_INCHES * 1.3 * columns + 1.6, CELL_INCHES * 1.3 * len(chosen) + 0.5 * len(chosen))
    for at, (axes, layer) in enumerate(zip(figure.subplots(len(chosen), 1, squeeze=False)[:, 0], chosen, strict=True)):
        kept = np.argsort(-layer.maps.std(axis=(1, 2)), kind="stable")[: choices.channels]
        largest = float(np.abs(layer.maps[kept]).max()) or 1.0
        coloured = mpl.colormaps[DIVERGING](0.5 + 0.5 * layer.maps[kept] / largest, bytes=True)
        images = [enlarged(each, subject.shape) for each in coloured]
        images += [np.zeros((*subject.shape[:2], 4), np.uint8)] * (choices.channels - len(images))
        first = subject.pixels[place] if at == 0 else np.zeros((*subject.shape[:2], 4), np.uint8)
        size = "×".join(map(str, layer.maps.shape))
        show(axes, [[first, *images]], names=[f"{layer.name}\n{layer.kind}, {size}"])
        axes.set_xticks([0.5] if at == 0 else [], ["image"] if at == 0 else [])
        axes.tick_params(axis="both", labelsize=9)
    return Picture(
        kind="feature-maps",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "From above to below the layers of the encoder, in each the channels that vary most: early ones show edges "
            "and strokes, late ones few coarse places; white is 0, and each layer has a scale of its own."
        ),
        figures={
            "image": place,
            "layers": {each.name: list(each.maps.shape) for each in layers},
            "unused": {each.name: int((each.maps.std(axis=(1, 2)) == 0.0).sum()) for each in layers},
        },
    )


def feature_maps(model: Any, image_1CHW: np.ndarray) -> list[Layer]:
    """The outputs of the encoder's layers that keep a height and a width, in the order in which they run.

    Containers are left out, and so is what only moves numbers about.
    """
    import torch
    from torch import nn

    found: list[Layer] = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
                found.append(Layer(name=name, kind=type(module).__name__, maps=output[0].float().clone().numpy()))

        return hook

    layers = [(name, each) for name, each in model.trunk.named_modules() if name and not list(each.children())]
    handles = [each.register_forward_hook(note(name)) for name, each in layers if not isinstance(each, nn.Flatten)]
    sigma = None if model.max_sigma is None else torch.zeros((1, 1, *image_1CHW.shape[2:]))
    try:
        with torch.no_grad():
            model.features(torch.from_numpy(image_1CHW), sigma)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _chosen(layers: list[Layer], names: list[str] | None) -> list[Layer]:
    if names is None:
        places = np.unique(np.linspace(0, len(layers) - 1, _MOST_LAYERS).round().astype(int))
        return [layers[at] for at in places]
    known = {layer.name: layer for layer in layers}
    for name in names:
        if name not in known:
            raise ConfigError(f"layers: there is no layer {name!r}; known: {', '.join(known)}.")
    return [known[name] for name in names]
