"""Images that are an array already."""

from __future__ import annotations

import numpy as np
from PIL import Image

from aedeploy.bundle import DataRecord
from aedeploy.data import Split
from aedeploy.data.digest import PixelDigest
from aedeploy.errors import ConfigError
from aedeploy.images.geometry import Geometry
from aedeploy.training.data.image_set import MemoryImages
from aedeploy.training.data.source import Data, DataRequest, Source
from aedeploy.training.memory import available_memory, gibibytes


def array_source(name: str, split: Split, request: DataRequest) -> Source:
    """A source of arrays, brought to the size and the colour that were asked for, if any were."""
    _, height, width, channels = split.train.shape
    own_shape = (channels, height, width)
    height, width = request.image_size or (height, width)
    channels = {"auto": channels, "grey": 1, "rgb": 3}[request.color]
    geometry = Geometry(mode="L" if channels == 1 else "RGB", height=height, width=width)

    def load() -> Data:
        size, free = (len(split.train) + len(split.held_out)) * channels * height * width, available_memory()
        if (channels, height, width) != own_shape and size > free:
            raise ConfigError(
                f"The images of {name} at {height}×{width} take {gibibytes(size)}, and {gibibytes(free)} of memory are "
                "free: lower --image-size, or put them into a folder, which is read as it is needed."
            )
        train, held_out = fitted(split.train, geometry), fitted(split.held_out, geometry)
        digest = PixelDigest((channels, height, width))
        digest.update(train)
        digest.update(held_out)
        record = DataRecord(
            name=name, digest=digest.hexdigest(), train=len(train), held_out=len(held_out), split=split.rule
        )
        return Data(train=MemoryImages.of(train), held_out=MemoryImages.of(held_out), record=record)

    return Source(name=name, image_shape=(channels, height, width), load=load)


def fitted(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """uint8 [N, H, W, C] in a geometry's size and colour, contiguous; untouched where it fits."""
    if pixels.shape[1:] == (geometry.height, geometry.width, geometry.channels):
        return np.ascontiguousarray(pixels)
    fitting = np.empty((len(pixels), geometry.height, geometry.width, geometry.channels), dtype=np.uint8)
    for at, image in enumerate(pixels):
        fitting[at] = geometry.apply(Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image))
    return fitting
