"""An image becomes an array of the size that a model takes, and a model's output gets its original size back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from aedeploy.images.read import Mode, in_mode


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The geometry and colour of a model's images: ``resize = exact``, ``resample = bilinear`` of the manifest."""

    mode: Mode
    height: int
    width: int

    @property
    def channels(self) -> int:
        return 1 if self.mode == "L" else 3

    def apply(self, image: Image.Image) -> np.ndarray:
        """The image as uint8 [H, W, C], resized without regard to its aspect; as it is where the size fits.

        Raises:
            ImageError: its pixels have no defined range (see :func:`aedeploy.images.read.in_mode`).
        """
        image = in_mode(image, self.mode)
        if image.size != (self.width, self.height):
            image = image.resize((self.width, self.height), Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(self.height, self.width, self.channels)


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring uint8 [H, W, C] to ``size`` (width, height), as uint8 [height, width, C]: the inverse of ``apply``."""
    height, width, channels = pixels.shape
    if size == (width, height):
        return pixels
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR)).reshape(size[1], size[0], channels)
