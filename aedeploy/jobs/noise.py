"""What a model is told of the noise in a job's images, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aedeploy.bundle.manifest import Role
from aedeploy.images.pixels import to_floats
from aedeploy.jobs.chunk import Row
from aedeploy.runtime.codec import Codec
from aedeploy.runtime.runner import Arrays
from aedeploy.runtime.told import of_image

#: uint8 or uint16, [H, W, C] each, or [N, H, W, C].
Images = Sequence[np.ndarray] | np.ndarray


def tell_noise(codec: Codec, rows: Sequence[Row], images: Images, sigma: float | None = None) -> None:
    """Settle each row's ``sigma``: the one given, or an estimate from its whole image.

    Nothing is done for a model that is told nothing.
    """
    noise = codec.bundle.manifest.noise
    if noise is None:
        return
    for row, image in zip(rows, images, strict=True):
        row.sigma = of_image(noise, image) if sigma is None else sigma
        row.notes["aedeploy.sigma"] = f"{row.sigma:.1f}, estimated" if sigma is None else f"{row.sigma:g}"


def run_told(codec: Codec, role: Role, rows: Sequence[Row], pixels: np.ndarray) -> Arrays:
    """Rows' images, uint8 or uint16 [rows, H, W, C], through a graph that has ``image`` and may have ``sigma``."""
    sigmas = None
    if codec.bundle.manifest.noise is not None:
        sigmas = np.array([row.sigma for row in rows], np.float32)
    return codec.run(role, pixels if pixels.dtype == np.uint8 else to_floats(pixels), sigma=sigmas)
