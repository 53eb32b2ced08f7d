"""The way from one image to another through the latent space, decoded step by step."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import ConfigError, PictureError
from aedeploy.pictures.grid import figure_size, show
from aedeploy.pictures.picture import Frames, Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, new_figure

TITLE = "Interpolation"

# Strips that are drawn where nobody says between what.
_PAIRS = 3
# Below this angle the arc is a line, and its sine no divisor.
_LEAST_ANGLE = 1e-3


class Choices(Config):
    """What may be chosen."""

    start: str | int | None = Field(default=None, description="A class, or the position of an image.")
    stop: str | int | None = Field(default=None, description="The same, of the other end.")
    steps: int = Field(default=10, ge=2, le=30, description="Images of a strip, both ends included.")


def linear(start: np.ndarray, stop: np.ndarray, steps: int) -> np.ndarray:
    """Even steps on the line between two latents, [D] each: float64 [steps, D]."""
    share = np.linspace(0.0, 1.0, steps)[:, None]
    return (1.0 - share) * start.astype(np.float64) + share * stop.astype(np.float64)


def spherical(start: np.ndarray, stop: np.ndarray, steps: int) -> np.ndarray:
    """Even steps of direction on the arc between two latents, [D] each (Shoemake 1985; White 2016), and of their
    distance from 0: float64 [steps, D]. On the line where there is no one arc.

    N(0, I) of many numbers is near a sphere, which a line leaves for the middle, where it has next to nothing.
    """
    first, last = start.astype(np.float64), stop.astype(np.float64)
    norms = np.linalg.norm(first), np.linalg.norm(last)
    if min(norms) == 0.0:
        return linear(first, last, steps)
    first, last = first / norms[0], last / norms[1]
    angle = np.arccos(np.clip(first @ last, -1.0, 1.0))
    if angle < _LEAST_ANGLE or np.pi - angle < _LEAST_ANGLE:
        return linear(start, stop, steps)
    share = np.linspace(0.0, 1.0, steps)[:, None]
    length = ((1.0 - share) * norms[0] + share * norms[1]) / np.sin(angle)
    arc: np.ndarray = length * (np.sin((1.0 - share) * angle) * first + np.sin(share * angle) * last)
    return arc


def largest_step(images: np.ndarray) -> float:
    """How many times the mean step from image to image the largest is: 1 of an even path. uint8 [T, H, W, C]."""
    steps = np.sqrt(np.square(np.diff(images.astype(np.float64), axis=0)).mean(axis=(1, 2, 3)))
    return float(steps.max() / steps.mean()) if steps.mean() > 0.0 else 1.0


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    pairs = _pairs(subject, choices)
    latent = subject.manifest.latent
    ways = {"linear": linear}
    if latent is not None and latent.distribution == "gaussian" and subject.flat.shape[1] > 1:
        ways["spherical"] = spherical
    rows, names = [], []
    for first, last in pairs:
        for way, path in ways.items():
            images = subject.decode(path(subject.flat[first], subject.flat[last], choices.steps))
            rows.append(images)
            names.append(f"{subject.called(first)} → {subject.called(last)}" + (f", {way}" if len(ways) > 1 else ""))
    shares = [f"{share:.0%}" for share in np.linspace(0, 1, choices.steps)]
    width, height = figure_size(subject.shape, len(rows), choices.steps)
    figure = new_figure(width + 2.1, height + 0.45)
    show(figure.add_subplot(), [list(row) for row in rows], names=names, heads=shares)
    reading = "Every strip goes from one image's latent to another's in even steps, each decoded"
    if len(ways) > 1:
        reading += "; linear is the straight way, spherical one around 0, no nearer to it than the ends are"
    return Picture(
        kind="interpolation",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=f"{reading}. Where neighbours look alike, and like images, the map between them is smooth.",
        figures={"pairs": names, "largest_step": [largest_step(row) for row in rows]},
        notes=_notes(subject),
        frames=Frames(rows=rows, names=names, steps=shares),
    )


def _pairs(subject: Subject, choices: Choices) -> list[tuple[int, int]]:
    count, classes = len(subject.pixels), subject.images.classes
    if (choices.start is None) != (choices.stop is None):
        raise ConfigError("start and stop go together: give both, or none.")
    if choices.start is not None and choices.stop is not None:
        pair = subject.place_of(choices.start, "start"), subject.place_of(choices.stop, "stop")
        if pair[0] == pair[1]:
            raise ConfigError("start and stop are the same image: there is no way between them.")
        return [pair]
    if count < 2:
        raise PictureError("One image is no way to another: interpolation takes two; give more with --data.")
    if len(classes) > 1:
        typical = [subject.typical(name) for name in classes[: 2 * _PAIRS]]
    else:
        typical = np.unique(np.linspace(0, count - 1, 2 * _PAIRS).round().astype(int)).tolist()
    return [(typical[at], typical[at + 1]) for at in range(0, len(typical) - 1, 2)]


def _notes(subject: Subject) -> tuple[str, ...]:
    latent = subject.manifest.latent
    if latent is not None and latent.codebook_size is not None:
        return ("The latents on the way are none of the codebook's: its decoder has not seen such in training.",)
    return ()
