"""Noisy, denoised and clean images, with the PSNR of each."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import ConfigError, PictureError
from aedeploy.images.pixels import to_bytes, to_floats
from aedeploy.pictures.corruption import CORRUPTIONS, corrupted
from aedeploy.pictures.grid import figure_size, show
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, new_figure

TITLE = "Denoising"


class Choices(Config):
    """What may be chosen."""

    strength: float | None = Field(
        default=None,
        gt=0.0,
        description="Of the noise, as the recipe's [corruption] has it (a gaussian's σ in units of [0, 1]); by default "
        "the middle of what training drew from.",
    )
    columns: int = Field(default=8, ge=1, le=20, description="Images.")


def psnr(clean: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each image in dB, float32 [N, C, H, W] both, pixels in [0, 1]: float64 [N], infinite where they are equal."""
    squared = np.square(clean.astype(np.float64) - other).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        found: np.ndarray = -10.0 * np.log10(squared)
    return found


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    corruption = subject.manifest.recipe.get("corruption") or {}
    if not corruption:
        raise PictureError(f"{subject.name!r} was not trained to take noise out of images.")
    unknown = next((name for name in corruption if name not in CORRUPTIONS), None)
    if unknown is not None:
        raise PictureError(f"{subject.name!r} was trained on {unknown!r}, which pictures do not know how to repeat.")
    first = next(iter(corruption))
    if choices.strength is not None and choices.strength > 1.0 and CORRUPTIONS[first][0] == "share":
        raise ConfigError(f"strength={choices.strength:g}: of {first} it is a share, from 0 to 1.")
    chosen = np.unique(np.linspace(0, len(subject.pixels) - 1, choices.columns).round().astype(int))
    clean = to_floats(subject.pixels[chosen])
    noisy, used = corrupted(clean, corruption, choices.strength, subject.generator("denoising"))
    sigma = 255.0 * used.get("gaussian", 0.0)
    noise = subject.manifest.noise
    if noise is not None and sigma > noise.maximum:
        raise ConfigError(f"strength: {subject.name!r} knows noise up to {noise.maximum / 255.0:.3g}, and no more.")
    denoised = subject.denoise(noisy, sigma)
    before, after = psnr(clean, noisy), psnr(clean, denoised)
    rows = [to_bytes(np.clip(noisy, 0.0, 1.0)), to_bytes(denoised), subject.pixels[chosen]]
    width, height = figure_size(subject.shape, 3, len(chosen))
    figure = new_figure(max(width + 1.2, 4.2), height + 1.0)
    feet = [[_decibel(value) for value in before], [_decibel(value) for value in after], []]
    for axes, images, name, foot in zip(figure.subplots(3, 1), rows, ("noisy", "denoised", "clean"), feet, strict=True):
        show(axes, [list(images)], names=[name], feet=foot)
        axes.tick_params(axis="x", labelsize=9)
    said = "; ".join(f"{CORRUPTIONS[name][1]} {value:.3g}" for name, value in used.items())
    figure.supxlabel(f"PSNR of each image in dB; {said}", fontsize=10)
    return Picture(
        kind="denoising",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "From above: what the model was given, what it gives back, and the clean image; the more the PSNR rises "
            "from the first row to the second, the more of the noise is gone."
        ),
        figures={
            "strength": used,
            "noisy_psnr": _listed(before),
            "denoised_psnr": _listed(after),
        },
        notes=("Here noise is shown clipped to [0, 1]; the model is given it as it is.",),
    )


def _listed(values: np.ndarray) -> list[float | None]:
    """In plain values, None for an image without an error."""
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]


def _decibel(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "equal"
