"""Image files: read as the model was trained to see them, and written."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from contract import CONTRACT

_IMAGE = CONTRACT["image"]

# A profile that moves no colour by more is that of sRGB, but for rounding.
_SAME = 2


def read_image(path: str | Path) -> np.ndarray:
    """The ``image`` input of one file: float32 [1, C, H, W] in [0, 1].

    Its first frame, upright, in sRGB, without alpha, at the model's size. The order of these steps matters: grey is
    made before the resize.

    Raises:
        OSError, ValueError and others of Pillow: it cannot be read as an image.
    """
    with Image.open(path) as file:
        file.load()
        image = _in_mode(ImageOps.exif_transpose(file), _IMAGE["mode"])
    size = (_IMAGE["width"], _IMAGE["height"])
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)  # antialiased where it reduces
    pixels = np.asarray(image).reshape(size[1], size[0], _IMAGE["channels"])
    return pixels.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / np.float32(255)


def write_image(image: np.ndarray, path: str | Path) -> None:
    """Write float32 [C, H, W] in [0, 1] in the format that the path's suffix names."""
    if not np.isfinite(image).all():
        raise ValueError("the image has NaN or infinity: the self-test says whether the model computes what it should")
    pixels = np.rint(image.transpose(1, 2, 0) * np.float32(255)).astype(np.uint8)
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        values = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((np.minimum(values, 65535) * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are 32-bit numbers, for which no range is defined: save it with 8 or 16 bits")
    profile = image.info.get("icc_profile")
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA" if image.mode not in ("1", "L") else "LA")
    if image.mode in ("LA", "La", "RGBA", "RGBa"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA" if image.mode == "La" else image.mode)
        image = image.convert("L" if image.mode == "LA" else "RGB")  # the colours that are stored, seen or not
    if profile:
        image = _in_srgb(image, profile)
    return image if image.mode == mode else image.convert(mode)


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """By the profile embedded in it; as it is, where that is broken, of another kind, or sRGB's own."""
    spaces = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != spaces.get(image.mode):
            return image
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        transform = ImageCms.buildTransform(source, srgb, image.mode, "RGB")
        if transform is None:
            return image
        if image.mode == "RGB":
            steps = np.linspace(0, 255, 9).round().astype(np.uint8)
            colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
            moved = np.asarray(transform.apply(Image.fromarray(colours))).astype(int) - colours
            if np.abs(moved).max() <= _SAME:
                return image
        return transform.apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
