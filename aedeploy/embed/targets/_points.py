"""Latents of real images, as points on the map of a latent of two numbers."""

from __future__ import annotations

import gzip
import importlib.resources
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.data import digits
from aedeploy.data.digest import PixelDigest
from aedeploy.data.split import held_out_indices
from aedeploy.embed.program import Program
from aedeploy.errors import ConfigError, ImageError, NothingToDoError
from aedeploy.images.folder import list_images
from aedeploy.images.read import read_image
from aedeploy.runtime.codec import image_geometry, load

#: More points hide one another.
MOST_POINTS = 1000

# Of MNIST's training and test images, as a manifest has it. Its test images are the embedded digits.
_MNIST = "5f1f3a01bd936623bb1d5eb604bf354500dbc0138fc3799ca42a31b83f443541"

# Before the labels in an idx file of one dimension.
_IDX_HEADER = 8


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
    known = _digits_known(program.bundle)
    if known is None:
        return None
    images, labels = known
    chosen = _evenly(len(images))
    seen = "that it was trained on" if len(images) < len(_labels()) else "of MNIST's test set, which it was not shown"
    return _points(
        program,
        images[chosen],
        [str(labels[at]) for at in chosen],
        f"The points are {len(chosen):,} digits {seen}.",
    )


def _digits_known(bundle: Bundle) -> tuple[np.ndarray, np.ndarray] | None:
    """The embedded digits that say most of a bundle, and their labels: those it was trained on, or MNIST's test set."""
    data = bundle.manifest.provenance.data
    if data is None:
        return None
    split, labels = digits(), _labels()
    held_out = held_out_indices(len(labels), len(split.held_out))
    if data.digest == _MNIST:
        images = np.empty((len(labels), *split.train.shape[1:]), np.uint8)
        images[held_out] = split.held_out
        images[np.delete(np.arange(len(labels)), held_out)] = split.train
        return images, labels
    digest = PixelDigest((1, *split.train.shape[1:3]))
    digest.update(split.train)
    digest.update(split.held_out)
    return (split.train, np.delete(labels, held_out)) if data.digest == digest.hexdigest() else None


def _labels() -> np.ndarray:
    file = importlib.resources.files("aedeploy.data").joinpath("t10k-labels-idx1-ubyte.gz")
    return np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=_IDX_HEADER)


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
