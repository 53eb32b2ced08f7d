"""Whatever a caller has as images becomes uint8 batches of the size that a model takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aedeploy.errors import ConfigError, ImageError
from aedeploy.images.geometry import Geometry
from aedeploy.images.read import quiet_pillow, read_image, upright

#: What images may be given as: many of one of these, or one uint8 array of all of them.
Images = Iterable[str | os.PathLike[str] | Image.Image | np.ndarray]


def batches(images: Images, geometry: Geometry, size: int) -> Iterator[np.ndarray]:
    """Yield the images as uint8 [n, H, W, C], n ≤ ``size``; each is read, turned and resized when its batch is due.

    An array must have the model's channels: no dtype, range or layout is guessed from values.

    Raises:
        ConfigError: it is neither many paths, PIL images or uint8 [H, W, C] arrays, nor one uint8 [N, H, W, C] array
            ([N, H, W] for a grey model).
        ImageError: one of them cannot be read; the message names it.
    """
    if isinstance(images, str | os.PathLike | Image.Image) or not isinstance(images, Iterable):
        raise ConfigError(f"Images are a list of paths, PIL images or uint8 arrays, not one {type(images).__name__}.")
    if isinstance(images, np.ndarray):
        images = _checked(images, geometry.channels, "An array of images", ["N", "H", "W"])
        if images.shape[1:3] == (geometry.height, geometry.width):
            yield from (images[start : start + size] for start in range(0, len(images), size))
            return
    numbered = enumerate(images)
    while batch := list(islice(numbered, size)):
        yield np.stack([_one(number, image, geometry) for number, image in batch])


def _one(number: int, image: Any, geometry: Geometry) -> np.ndarray:
    """One image as uint8 [H, W, C] of the model's size."""
    try:
        if isinstance(image, str | os.PathLike):
            return geometry.apply(read_image(Path(image), geometry.mode))
        if isinstance(image, Image.Image):
            return geometry.apply(loaded(image))
    except ImageError as error:
        where = os.fspath(image) if isinstance(image, str | os.PathLike) else f"Image {number}"
        raise ImageError(f"{where}: {error}.") from None
    if isinstance(image, np.ndarray):
        checked = _checked(image, geometry.channels, f"Image {number}", ["H", "W"])
        return geometry.apply(Image.fromarray(checked[:, :, 0] if geometry.channels == 1 else checked))
    raise ConfigError(f"Image {number} is a {type(image).__name__}: give a path, a PIL image or a uint8 array.")


def _checked(array: np.ndarray, channels: int, what: str, dimensions: list[str]) -> np.ndarray:
    """``array`` as [*dimensions, channels], where it is that already or a grey array that lacks the last one."""
    shape = list(array.shape)
    if array.ndim == len(dimensions) and channels == 1:
        array = array[..., None]
    if array.dtype != np.uint8 or array.ndim != len(dimensions) + 1 or array.shape[-1] != channels:
        listed = ", ".join(dimensions)
        grey = f" or [{listed}]" if channels == 1 else ""
        raise ConfigError(
            f"{what} must be uint8 [{listed}, {channels}]{grey}, and is {array.dtype} {shape}: "
            "convert it first (of values in [0, 1]: (255 * x).round().astype('uint8'))."
        )
    return array


def loaded(image: Image.Image) -> Image.Image:
    """A caller's own image, upright; the caller's object stays as it was."""
    try:
        with quiet_pillow():
            image.load()
            return upright(image)
    except Exception as error:  # Pillow decodes only now, and a broken file makes it raise nearly anything
        raise ImageError(f"it cannot be decoded: {error}") from None
