"""Photographs as figures of denoising are made of them: upright, shrunk, so that little is left of what JPEG did."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

#: Of ../shared/data/photos, those that nothing was trained on.
HELD_OUT = "exif-samples/exif-org__*.jpg"

_SHRINK = 2


def held_out(folder: Path) -> list[Path]:
    """Those of a folder of photographs that nothing was trained on; ends where there is none."""
    found = sorted(folder.glob(HELD_OUT))
    if not found:
        raise SystemExit(f"There is no {HELD_OUT} in {folder}, which is measured on.")
    return found


def shrunk(path: Path, mode: str) -> Image.Image:
    """One of them at half its size, by a Lanczos filter."""
    image = ImageOps.exif_transpose(Image.open(path)).convert(mode)
    return image.resize((image.width // _SHRINK, image.height // _SHRINK), Image.Resampling.LANCZOS)
