"""Photographs, as far as a denoiser is concerned: smooth light, sharp edges and a fine pattern, of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def photograph(number: int, height: int, width: int) -> np.ndarray:
    """The same for the same number: uint8 [H, W, 3]."""
    random = np.random.default_rng(number)
    ys, xs = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j][..., None]
    light = random.uniform(60, 160, 3) + 60 * (ys * random.uniform(-1, 1, 3) + xs * random.uniform(-1, 1, 3))
    for _ in range(6):
        y, x, radius = random.uniform([0, 0, 0.05], [1, 1, 0.3])
        light = np.where((ys - y) ** 2 + (xs - x) ** 2 < radius**2, random.uniform(20, 235, 3), light)
    waves = 12 * np.sin(2 * np.pi * (ys * random.uniform(5, 20) + xs * random.uniform(5, 20)))
    return np.clip(light + waves, 0, 255).astype(np.uint8)


def write_photographs(folder: Path, count: int = 4, height: int = 288, width: int = 272) -> Path:
    """``0.png``, ``1.png``, …: of the default size, large enough for patches of 64 out of a quarter of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(photograph(number, height, width)).save(folder / f"{number}.png")
    return folder
