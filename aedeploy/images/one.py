"""One image of a caller's, as the array that it is: at its own size, and with all of its bits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from aedeploy.errors import ConfigError, ImageError
from aedeploy.images.batches import loaded
from aedeploy.images.colour import Mode, converted
from aedeploy.images.read import read_picture

#: A path, a PIL image, or uint8, uint16 or float32 [H, W, C], of grey also [H, W].
AnImage = str | os.PathLike[str] | Image.Image | np.ndarray


def one_image(image: AnImage, mode: Mode) -> np.ndarray:
    """A path or a PIL image in ``mode``, as uint8 or, grey of 16 bits, uint16 [H, W, C]; an array as it is, checked.

    Raises:
        ConfigError: it is none of them, or an array of other channels or dtype, empty, or with NaN or infinity.
        ImageError: it cannot be read; the message names it.
    """
    if isinstance(image, np.ndarray):
        return _checked(image, 1 if mode == "L" else 3)
    try:
        if isinstance(image, Image.Image):
            pixels = converted(loaded(image), mode, deep=True, alpha=False)[0]
        elif isinstance(image, str | os.PathLike):
            pixels = read_picture(Path(image), mode, deep=True).image
        else:
            raise ConfigError(f"An image is a path, a PIL image or an array, and not {type(image).__name__}.")
    except ImageError as error:
        where = "The image" if isinstance(image, Image.Image) else os.fspath(image)
        raise ImageError(f"{where}: {error}.") from None
    array = np.asarray(pixels)
    return array[:, :, None] if array.ndim == 2 else array


def _checked(array: np.ndarray, channels: int) -> np.ndarray:
    fits = array.shape[2:] == (channels,) or (channels == 1 and array.ndim == 2)
    if not fits or 0 in array.shape or array.dtype not in (np.uint8, np.uint16, np.float32):
        raise ConfigError(
            f"An image must be uint8, uint16 or float32 [H, W, {channels}]{' or [H, W]' if channels == 1 else ''}, "
            f"and is {array.dtype} {list(array.shape)}."
        )
    if array.dtype == np.float32 and not np.isfinite(array).all():
        raise ConfigError("An image must be finite, and this one has NaN or infinity.")
    return array
