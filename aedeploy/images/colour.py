"""Whatever kinds of pixels a file has become 8-bit grey or RGB in sRGB, with their transparency beside them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

from aedeploy.errors import ImageError
from aedeploy.images.icc import grey_curve, to_srgb

Mode = Literal["L", "RGB"]

_TIFF_BITS_PER_SAMPLE = 258

# Pillow's modes of one channel; "I;16" goes by several names.
_GREY = frozenset({"1", "L", "LA", "La", "I", "F"})

# Of modes that Pillow turns into no other directly, or that no profile is applied to: what stands for them.
_EXPANDED = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA", "RGBX": "RGB", "LAB": "RGB", "HSV": "RGB", "YCbCr": "RGB"}


def own_mode(image: Image.Image) -> Mode:
    """Whether an image is grey or in colours as it was stored: "L" of one channel, whatever its bits; else "RGB"."""
    return "L" if image.mode in _GREY or image.mode.startswith("I;16") else "RGB"


def in_mode(image: Image.Image, mode: Mode) -> Image.Image:
    """Convert to 8-bit grey or RGB, in sRGB. Sixteen bits are divided by 257, whatever values an image holds.

    Transparency is dropped: the colours that are stored show, also where they were not to be seen.

    Raises:
        ImageError: the image has 32-bit integers or floats, which have no range that stands for black to white.
    """
    return converted(image, mode, deep=False, alpha=False)[0]


def converted(
    image: Image.Image, mode: Mode, *, deep: bool, alpha: bool
) -> tuple[Image.Image, Image.Image | None, Literal[8, 16]]:
    """A loaded image as :func:`in_mode` has it, its alpha where it was asked for, and the bits of its samples.

    The alpha is "L" of the same size, or None where all is opaque. With ``deep``, an image of 16-bit grey that is
    wanted as "L" is "I;16" over the whole range 0 to 65535.
    """
    profile = image.info.get("icc_profile")
    if image.mode == mode and not profile and "transparency" not in image.info:
        return image, None, 8
    if not isinstance(profile, bytes):
        profile = None
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _from_words(image, mode, profile, deep=deep, alpha=alpha)
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        raise ImageError(f"its pixels are {kind}, for which no range is defined: save it with 8 or 16 bits")
    image = _expanded(image, profile)
    transparency = None
    if image.mode in ("LA", "RGBA"):
        transparency = _unless_opaque(image.getchannel("A")) if alpha else None
        image = image.convert("L" if image.mode == "LA" else "RGB")
    if profile and image.mode in ("L", "RGB", "CMYK"):
        image = to_srgb(image, profile) or image
    return image if image.mode == mode else image.convert(mode), transparency, 8


def _expanded(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image without a palette and without a transparent colour: each pixel says all about itself."""
    if image.mode == "P":
        if image.has_transparency_data:
            return image.convert("RGBA")
        return image.convert("RGB") if profile else image
    if "transparency" in image.info and image.mode in ("1", "L", "RGB"):
        return image.convert("RGBA" if image.mode == "RGB" else "LA")
    expanded = _EXPANDED.get(image.mode)
    return image.convert(expanded) if expanded else image


def _unless_opaque(alpha: Image.Image) -> Image.Image | None:
    return None if alpha.getextrema() == (255, 255) else alpha


def _from_words(
    image: Image.Image, mode: Mode, profile: bytes | None, *, deep: bool, alpha: bool
) -> tuple[Image.Image, Image.Image | None, Literal[8, 16]]:
    """As :func:`converted`, of grey with more than 8 bits."""
    values = np.asarray(image).astype(np.uint32)
    transparency = None
    hidden = image.info.get("transparency")
    if alpha and isinstance(hidden, int):
        transparency = _unless_opaque(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    # The range of the format: 0 to 65535, or what a TIFF says of its samples.
    most = 65535
    if image.format == "TIFF":
        most = (1 << image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (16,))[0]) - 1  # type: ignore[attr-defined]
    curve = grey_curve(profile) if profile else None
    white = 65535 if curve is not None or (deep and mode == "L") else 255
    values = (np.minimum(values, most) * white + most // 2) // most  # 65535 × 65535 is within 32 bits
    if curve is not None:
        # A profile of grey is a curve. Pillow gives it at 8 bits; between two of them it is as good as straight.
        values = np.interp(values, np.arange(256) * 257, np.array(curve) * 257).round().astype(np.uint32)
    if deep and mode == "L":
        return Image.fromarray(values.astype(np.uint16)), transparency, 16
    if curve is not None:
        values = (values + 128) // 257
    grey = Image.fromarray(values.astype(np.uint8))
    return grey if mode == "L" else grey.convert(mode), transparency, 8
