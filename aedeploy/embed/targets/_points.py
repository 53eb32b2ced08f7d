"""Latents of real images, as points on the map of a latent of two numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aedeploy.data.digits import every_digit
from aedeploy.data.known import MNIST as _MNIST
from aedeploy.data.known import digits_trained_on
from aedeploy.data.labels import digits_at
from aedeploy.data.split import held_out_indices
from aedeploy.embed.program import Program
from aedeploy.errors import ConfigError, ImageError, NothingToDoError
from aedeploy.images.folder import list_images
from aedeploy.images.read import read_image
from aedeploy.runtime.codec import image_geometry, load

#: More points hide one another.
MOST_POINTS = 1000


@dataclass(frozen=True, kw_only=True)
class Points:
    """``rows``: x, y, and which of ``labels`` it has, or None. ``about`` says what they are."""

    labels: list[str]
    rows: list[tuple[float, float, int | None]]
    about: str


def points_of(program: Program) -> Points | None:
    """The latents of ``--samples``, or of the digits if the model knows them. None: the page has no map, or no data
    but the bundle's own samples, which it encodes itself.

    Raises:
        ConfigError: there is no such folder, or the latent is none that a map shows.
        NothingToDoError: none of its files can be read as an image; one that cannot is left out, and said.
    """
    folder: Path | None = program.options.get("samples")
    latent = program.bundle.manifest.latent
    if latent is None or latent.kind != "vector" or latent.shape != (2,):
        if folder is not None:
            numbers = "none" if latent is None else " × ".join(map(str, latent.shape))
            raise ConfigError(f"--samples are points on the map of a latent of two numbers; this one has {numbers}.")
        return None
    if folder is not None:
        return _of_folder(program, folder)
    return _of_digits(program)


def _of_folder(program: Program, folder: Path) -> Points:
    listing, geometry = list_images(folder), image_geometry(program.bundle)
    chosen = [listing.images[at] for at in _evenly(len(listing.images))]
    program.say(f"Encoding {len(chosen):,} images of {folder.name} for the map.")
    images, labels, unread = [], [], []
    for name in chosen:
        try:
            images.append(geometry.apply(read_image(listing.root / name, geometry.mode)))
        except ImageError as error:
            unread.append(f"{name}: {error}")
            continue
        # The folder that an image lies in says what it is.
        labels.append(name.rpartition("/")[0])
    if not images:
        raise NothingToDoError(f"--samples {folder}: none of its files can be read as an image ({unread[0]}).")
    if unread:
        program.say(f"Left out, for they cannot be read: {len(unread):,} of them, such as {unread[0]}.")
    return _points(program, np.stack(images), labels, f"The points are images of {folder.name}.")


def _of_digits(program: Program) -> Points | None:
    """The digits that say most of a model: those it was trained on, or MNIST's test set."""
    data = program.bundle.manifest.provenance.data
    trained_on = None if data is None else digits_trained_on(data.digest)
    if data is None or trained_on is None:
        return None
    known = np.flatnonzero(trained_on if trained_on.any() else ~trained_on)
    chosen = known[_evenly(len(known))]
    seen = "of MNIST's test set, which it was not shown" if data.digest == _MNIST else "that it was trained on"
    labels = [label or "" for label in digits_at(chosen).names or ()]
    return _points(program, every_digit()[chosen], labels, f"The points are {len(chosen):,} digits {seen}.")


def _points(program: Program, images: np.ndarray, labels: list[str], about: str) -> Points:
    latents = load(program.bundle, format=program.format).encode(images)
    names = sorted(set(labels) - {""})
    rows = [
        (round(float(x), 5), round(float(y), 5), names.index(label) if label else None)
        for (x, y), label in zip(latents, labels, strict=True)
    ]
    return Points(labels=names, rows=rows, about=about)


def _evenly(count: int) -> np.ndarray:
    """The positions of at most ``MOST_POINTS`` of ``count``, evenly spaced."""
    return held_out_indices(count, min(count, MOST_POINTS))
