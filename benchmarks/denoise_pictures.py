"""Noisy, non-local means, BM3D, ours, clean: crops of photographs that training held out, side by side.

All are of ../shared/data/photos/metadata-extractor, which anybody may use (github.com/drewnoakes/metadata-extractor-
images), shrunk by two; no person is in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from photographs import shrunk
from PIL import Image, ImageDraw, ImageFont

from aedeploy.bundle import Bundle
from aedeploy.evaluation.denoising.classical import find_classical
from aedeploy.evaluation.denoising.methods import BundleMethod, Method
from aedeploy.evaluation.denoising.protocol import noisy_image, psnr, rounded
from aedeploy.runtime.codec import load
from aedeploy.runtime.cores import available_cores


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A crop (left, upper) of a photograph, and the noise added to it."""

    file: str
    photograph: str
    mode: str
    corner: tuple[int, int]
    sigma: float
    what: str


PICTURES = (
    Shown(
        file="denoising-church.png",
        photograph="Kodak ProBack.jpg",
        mode="RGB",
        corner=(268, 160),
        sigma=25.0,
        what="a church in snow",
    ),
    Shown(
        file="denoising-sign.png",
        photograph="Sony DSC-HX5V (2).jpg",
        mode="RGB",
        corner=(107, 52),
        sigma=50.0,
        what="a road sign",
    ),
    Shown(
        file="denoising-tower.png",
        photograph="FujiFilm FinePixS2Pro.jpg",
        mode="L",
        corner=(52, 20),
        sigma=25.0,
        what="an iron tower, grey",
    ),
)

SIDE, GAP, HEAD, FONT = 164, 4, 34, 12

#: Legible on white pages and on dark ones: the picture brings its own ground.
GROUND, INK, SOFT = (32, 34, 37), (245, 245, 245), (170, 174, 180)


def write_pictures(folder: Path, photographs: Path, grey: Bundle, colour: Bundle) -> list[dict[str, Any]]:
    """Write them into ``folder``; what a page must say of each."""
    classical, _ = find_classical(["nlm", "bm3d"], available_cores())
    ours = {"L": BundleMethod(load(grey), "sigma"), "RGB": BundleMethod(load(colour), "sigma")}
    return [_picture(folder, photographs, shown, classical, ours[shown.mode]) for shown in PICTURES]


def _picture(
    folder: Path, photographs: Path, shown: Shown, classical: Sequence[Method], ours: Method
) -> dict[str, Any]:
    photograph = shrunk(photographs / "metadata-extractor" / shown.photograph, shown.mode)
    clean = np.asarray(photograph).reshape(photograph.height, photograph.width, -1)
    noisy = noisy_image(clean, shown.sigma, seed=0)
    nlm, bm3d = classical
    made = {
        f"noisy, sigma {shown.sigma:g}": rounded(noisy),
        "non-local means": rounded(nlm.denoised(nlm.taken(noisy), shown.sigma)),
        "BM3D": rounded(bm3d.denoised(bm3d.taken(noisy), shown.sigma)),
        "aedeploy": rounded(ours.denoised(ours.taken(noisy), shown.sigma)),
        "clean": clean,
    }
    left, upper = shown.corner
    crops = {name: image[upper : upper + SIDE, left : left + SIDE] for name, image in made.items()}
    original = crops["clean"]
    figures = {name: psnr(original, crop) for name, crop in crops.items() if name != "clean"}
    _strip(crops, figures).save(folder / shown.file, optimize=True)
    return {"file": shown.file, "photograph": shown.photograph, "what": shown.what, "sigma": shown.sigma, **figures}


def _strip(crops: dict[str, np.ndarray], figures: dict[str, float]) -> Image.Image:
    """The crops in a row, each with its name and its PSNR above it."""
    width = len(crops) * (SIDE + GAP) + GAP
    strip = Image.new("RGB", (width, HEAD + SIDE + GAP), GROUND)
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(FONT)
    for at, (name, crop) in enumerate(crops.items()):
        left = GAP + at * (SIDE + GAP)
        strip.paste(Image.fromarray(crop[:, :, 0] if crop.shape[2] == 1 else crop).convert("RGB"), (left, HEAD))
        draw.text((left + 2, 2), name, INK, font)
        draw.text((left + 2, 17), f"{figures[name]:.2f} dB" if name in figures else "", SOFT, font)
    return strip.convert("L") if all(crop.shape[2] == 1 for crop in crops.values()) else strip
