"""How near the settings of non-local means that we measure against are to the best of a grid, at each σ.

On images that no figure is of: every sixteenth of train400 in grey; in colour the middle of every seventh photograph
that the denoisers were trained on, shrunk by three. Prints the mean PSNR in dB of our settings, of the best of the
grid, and of the best with OpenCV's usual patch of 7×7.

    python benchmarks/nlm_settings.py           minutes
    python benchmarks/nlm_settings.py --quick   two images, to see that it runs
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
from PIL import Image, ImageOps

from aedeploy.bundle.shipped import COLOUR, shipped_bundle
from aedeploy.evaluation.denoising.classical import colour_settings, grey_settings
from aedeploy.evaluation.denoising.protocol import DEFAULT_SIGMAS, noisy_image, psnr, rounded

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

#: (side of a patch, h / σ), and of colours (…, h of the colours / σ).
SIDES = (3, 5, 7)
GREY = tuple(itertools.product(SIDES, np.arange(0.5, 1.35, 0.1)))
COLOURS = tuple(itertools.product(SIDES, np.arange(0.5, 1.05, 0.1), (0.3, 0.5, 0.8, 1.0, 1.5, 2.0)))

_WINDOW, _MIDDLE, _USUAL = 21, 256, 7

#: From a noisy image of bytes and (side, h …), in levels of 255, to one without noise.
Filter = Callable[[np.ndarray, Sequence[float]], np.ndarray]


def main() -> None:
    """Both kinds of images at each σ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="Two images of each kind.")
    limit = 2 if parser.parse_args().quick else None
    found = {
        "grey": [figures(_grey, grey_images()[:limit], GREY, grey_settings, s) for s in (15.0, 25.0, 35.0, 50.0)],
        "colour": [figures(_colour, colour_images()[:limit], COLOURS, colour_settings, s) for s in DEFAULT_SIGMAS],
    }
    print(json.dumps({"benchmark": "nlm_settings", **found}))


def figures(
    remove: Filter,
    images: Sequence[np.ndarray],
    grid: Sequence[tuple[float, ...]],
    ours: Callable[[float], tuple[float, ...]],
    sigma: float,
) -> dict[str, float]:
    """Mean PSNR at one σ of our settings, of the best of the grid, and of the best with the usual patch."""
    noisy = [rounded(noisy_image(image, sigma, 0)) for image in images]

    def quality(settings: Sequence[float]) -> float:
        return fmean(psnr(clean, remove(given, settings)) for clean, given in zip(images, noisy, strict=True))

    of_grid = {(side, *shares): quality((side, *(share * sigma for share in shares))) for side, *shares in grid}
    return {
        "sigma": sigma,
        "images": len(images),
        "ours": quality(ours(sigma)),
        "best": max(of_grid.values()),
        "best_of_usual_patch": max(value for (side, *_), value in of_grid.items() if side == _USUAL),
    }


def _grey(noisy: np.ndarray, settings: Sequence[float]) -> np.ndarray:
    side, h = settings
    made = cv2.fastNlMeansDenoising(noisy, None, float(h), int(side), _WINDOW)
    return np.asarray(made)[:, :, None]


def _colour(noisy: np.ndarray, settings: Sequence[float]) -> np.ndarray:
    side, h, h_colour = settings
    return np.asarray(cv2.fastNlMeansDenoisingColored(noisy, None, float(h), float(h_colour), int(side), _WINDOW))


def grey_images() -> list[np.ndarray]:
    """uint8 [H, W, 1] each."""
    return [
        np.asarray(Image.open(path).convert("L"))[:, :, None]
        for path in sorted((DATA / "train400").glob("*.png"))[::16]
    ]


def colour_images() -> list[np.ndarray]:
    """uint8 [H, W, 3] each."""
    data = shipped_bundle(COLOUR).manifest.provenance.data
    assert data is not None
    images = []
    for name in data.files[::7]:
        image = ImageOps.exif_transpose(Image.open(DATA / "photos" / name)).convert("RGB")
        image = image.resize((image.width // 3, image.height // 3), Image.Resampling.LANCZOS)
        left, top = (max(0, (length - _MIDDLE) // 2) for length in image.size)
        images.append(
            np.asarray(
                image.crop((left, top, *(min(n, s + _MIDDLE) for n, s in zip(image.size, (left, top), strict=True))))
            )
        )
    return images


if __name__ == "__main__":
    main()
