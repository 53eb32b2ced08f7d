"""A finished image as the content of its file, the same for all sinks of images."""

from __future__ import annotations

import numpy as np
from PIL import Image

from aedeploy.images.write import ImageOptions, image_bytes
from aedeploy.jobs.chunk import Row


def encoded(row: Row, options: ImageOptions) -> bytes:
    """The row's ``image`` as a file, with its transparency where the format has any.

    Raises:
        ImageError: the format cannot hold such an image; the message is the reason alone.
    """
    assert row.image is not None
    alpha = None
    if row.alpha is not None and options.supports_alpha:
        height, width = row.image.shape[:2]
        alpha = _alpha_of(row.alpha, width, height)
    return image_bytes(row.image, options, alpha=alpha, notes=row.notes)


def _alpha_of(alpha: np.ndarray, width: int, height: int) -> np.ndarray:
    if alpha.shape == (height, width):
        return alpha
    return np.asarray(Image.fromarray(alpha).resize((width, height), Image.Resampling.BILINEAR))
