"""Embedded colour profiles: what a file's numbers mean, brought to sRGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

# The colour space that a profile must have to say something of an image of that mode.
_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}

# A profile that moves no channel by more is that of sRGB, but for rounding: its images are left as they are.
_SAME = 2

_NOT_OPTIMISED = 0x100  # littlecms' cmsFLAGS_NOOPTIMIZE


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """An "L", "RGB" or "CMYK" image in sRGB, as "L" if it was that, else as "RGB".

    None where the profile is broken, is of another colour space, or is that of sRGB already: as if there were none.
    """
    if image.mode == "L":
        curve = grey_curve(profile)
        return None if curve is None else image.point(curve)
    transform = _transform(profile, image.mode)
    return None if transform is None else transform.apply(image)


@lru_cache(maxsize=16)
def grey_curve(profile: bytes) -> list[int] | None:
    """What a grey profile makes of the 256 levels from black to white; None as in :func:`to_srgb`."""
    # Not optimised: the curve would be made of 32 straight pieces.
    transform = _built(profile, "L", _NOT_OPTIMISED)
    if transform is None:
        return None
    levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    # The three channels are equal, or differ by rounding.
    curve = [int(level) for level in np.asarray(transform.apply(levels).convert("L"))[0]]
    return None if max(abs(after - before) for before, after in enumerate(curve)) <= _SAME else curve


# It is only read when it is applied, so that threads may share it.
@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    transform = _built(profile, mode, 0)
    if transform is None or mode == "CMYK":
        return transform
    probe = _colours()
    moved = np.abs(np.asarray(transform.apply(probe)).astype(int) - np.asarray(probe))
    return None if moved.max() <= _SAME else transform


def _built(profile: bytes, mode: str, flags: int) -> ImageCmsTransform | None:
    from PIL import ImageCms  # few images need it

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != _SPACES.get(mode):
            return None
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.ImageCmsTransform(
            source, ImageCms.ImageCmsProfile(srgb), mode, "RGB", ImageCms.Intent.PERCEPTUAL, flags=ImageCms.Flags(flags)
        )
    except Exception:  # a broken profile is no reason to refuse sound pixels, and fails in many ways
        return None


def _colours() -> Image.Image:
    """9 × 9 × 9 colours, evenly spread."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    return Image.fromarray(grid.reshape(1, -1, 3))
