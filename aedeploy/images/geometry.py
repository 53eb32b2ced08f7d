"""An image becomes an array of the size that a model takes, and a model's output gets its original size back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from aedeploy.images.colour import Mode, in_mode
from aedeploy.images.read import Picture

#: How an image of another size becomes one of the model's. exact: stretched or squeezed, whatever its aspect; fit:
#: whole and in its own aspect, in the middle of black; crop: the middle of it that has the model's aspect.
Resize = Literal["exact", "fit", "crop"]

#: (left, upper, right, lower) in pixels; right and lower are just outside, as in Pillow.
Box = tuple[int, int, int, int]

_BILINEAR = Image.Resampling.BILINEAR


@dataclass(frozen=True, slots=True)
class Placement:
    """How an image lies in what a model takes of it: all that it needs to go back."""

    own: tuple[int, int]  # (width, height) of the image itself
    frame: Box | None = None  # with fit: where in the model's pixels the image is; None: everywhere
    shown: Box | None = None  # with crop: which of its own pixels there are; None: all

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of what :func:`restored` makes: the image's own, or that of the region shown."""
        if self.shown is None:
            return self.own
        left, upper, right, lower = self.shown
        return right - left, lower - upper


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The geometry and colour of a model's images; ``resample = bilinear`` of the manifest."""

    mode: Mode
    height: int
    width: int
    resize: Resize = "exact"

    @property
    def channels(self) -> int:
        return 1 if self.mode == "L" else 3

    def apply(self, image: Image.Image) -> np.ndarray:
        """The image as uint8 [H, W, C]; as it is where the size fits.

        Raises:
            ImageError: its pixels have no defined range (see :func:`aedeploy.images.colour.in_mode`).
        """
        image = in_mode(image, self.mode)
        return self.place(Picture(image, None, 8, image.size))[0]

    def place(self, picture: Picture) -> tuple[np.ndarray, Placement]:
        """A picture that was read in this mode, as uint8 [H, W, C] or, where its depth is 16, as uint16 [H, W, 1]."""
        image, size = picture.image, (self.width, self.height)
        if image.size == size and picture.size == size:
            return _array(image), Placement(size)
        if self.resize == "exact":
            return _array(_resized(image, size)), Placement(picture.size)
        if self.resize == "fit":
            frame = _fitted(picture.size, size)
            return self._framed(image, frame), Placement(picture.size, frame=frame)
        shown = _cropped(picture.size, size)
        return _array(image.resize(size, _BILINEAR, box=_rescaled(shown, picture))), Placement(
            picture.size, shown=shown
        )

    def _framed(self, image: Image.Image, frame: Box) -> np.ndarray:
        left, upper, right, lower = frame
        pixels = _array(_resized(image, (right - left, lower - upper)))
        framed = np.zeros((self.height, self.width, pixels.shape[2]), pixels.dtype)
        framed[upper:lower, left:right] = pixels
        return framed


def restored(pixels: np.ndarray, placement: Placement) -> np.ndarray:
    """A model's output [H, W, C], uint8 or uint16, at the size of what was placed: [h, w, C], ``placement.size``.

    What lay beside a fitted image is left out; of a cropped one only the region that was shown comes back.
    """
    return resized(_region(pixels, placement.frame), placement.size)


def restored_alpha(alpha: np.ndarray, placement: Placement) -> np.ndarray:
    """Alpha, uint8 [h, w] of the image's own size, for what :func:`restored` makes."""
    return _region(alpha, placement.shown)


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring [H, W, C], uint8, or uint16 of one channel, to ``size`` (width, height): [height, width, C]."""
    height, width, channels = pixels.shape
    if size == (width, height):
        return pixels
    if channels == 3 and pixels.dtype == np.uint16:
        return np.concatenate([resized(pixels[:, :, channel : channel + 1], size) for channel in range(3)], axis=2)
    return _array(Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).resize(size, _BILINEAR))


def _array(image: Image.Image) -> np.ndarray:
    """An image of mode "L", "RGB" or "I;16" as [H, W, C]; faster than ``numpy.asarray``."""
    width, height = image.size
    dtype = np.uint16 if image.mode == "I;16" else np.uint8
    return np.frombuffer(image.tobytes(), dtype).reshape(height, width, 3 if image.mode == "RGB" else 1)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, _BILINEAR)


def _region(array: np.ndarray, box: Box | None) -> np.ndarray:
    return array if box is None else array[box[1] : box[3], box[0] : box[2]]


def _fitted(own: tuple[int, int], size: tuple[int, int]) -> Box:
    """Where an image lies that is as large as it can be and whole, in the middle."""
    scale = min(size[0] / own[0], size[1] / own[1])
    width, height = (min(most, max(1, round(length * scale))) for length, most in zip(own, size, strict=True))
    left, upper = (size[0] - width) // 2, (size[1] - height) // 2
    return left, upper, left + width, upper + height


def _cropped(own: tuple[int, int], size: tuple[int, int]) -> Box:
    """The largest region of an image that has the aspect of ``size``, in its middle."""
    scale = max(size[0] / own[0], size[1] / own[1])
    width, height = (min(most, max(1, round(length / scale))) for length, most in zip(size, own, strict=True))
    left, upper = (own[0] - width) // 2, (own[1] - height) // 2
    return left, upper, left + width, upper + height


def _rescaled(box: Box, picture: Picture) -> tuple[float, float, float, float]:
    """A region of the picture in full, in the pixels that were decoded of it."""
    across, down = (decoded / own for decoded, own in zip(picture.image.size, picture.size, strict=True))
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down
