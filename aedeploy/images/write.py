"""An array becomes an image file, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from aedeploy.files import write_bytes

# Level 6 costs several times as much, for files that are a few per cent smaller.
_COMPRESSION = 1


def png_of(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, C], C = 1 or 3, as the content of a PNG file."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=_COMPRESSION)
    return stream.getvalue()


def write_png(path: Path, pixels: np.ndarray, *, sync: bool = True) -> None:
    """Replace ``path`` by uint8 [H, W, C] as a PNG, atomically; of ``sync`` see :func:`aedeploy.files.replacing`.

    Raises:
        OSError: the disk is full, the folder cannot be written, the name is too long; ``path`` is as it was.
    """
    write_bytes(path, png_of(pixels), sync=sync)
