"""Latent arithmetic: the decoded z₁ + z₂ − z₃ of three images."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import ConfigError, PictureError
from aedeploy.pictures.grid import figure_size, show
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, new_figure

TITLE = "Latent arithmetic"

_ROWS = 4


class Choices(Config):
    """What may be chosen."""

    first: str | int | None = Field(default=None, description="z₁: a class, or the position of an image.")
    plus: str | int | None = Field(default=None, description="z₂, which is added.")
    minus: str | int | None = Field(default=None, description="z₃, which is taken away.")


def combined(flat: np.ndarray, first: int, plus: int, minus: int) -> np.ndarray:
    """z₁ + z₂ − z₃ of three rows of latents, [N, D]: float32 [D]."""
    rows = flat[[first, plus, minus]].astype(np.float64)
    found: np.ndarray = (rows[0] + rows[1] - rows[2]).astype(np.float32)
    return found


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    subject.require_codes_between("Latent arithmetic")
    triples = _triples(subject, choices)
    results = subject.decode(np.stack([combined(subject.flat, *triple) for triple in triples]))
    rows = [[*(subject.reconstructions[at] for at in three), end] for three, end in zip(triples, results, strict=True)]
    names = ["{} + {} − {}".format(*map(subject.called, triple)) for triple in triples]
    width, height = figure_size(subject.shape, len(rows), 4)
    figure = new_figure(width + 2.3, height + 0.45)
    show(figure.add_subplot(), rows, names=names, heads=["z₁", "+ z₂", "− z₃", "= decoded"])
    nearest = [_nearest_label(subject, triple) for triple in triples]
    return Picture(
        kind="arithmetic",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "Reconstructions of three images, and what is decoded from the first two latents without the third: where "
            "directions of the latent space mean something, it is the first image, changed by what the second has and "
            "the third has not."
        ),
        figures={"triples": [list(triple) for triple in triples], "nearest_class": nearest},
    )


def _nearest_label(subject: Subject, triple: tuple[int, int, int]) -> str | None:
    """The class whose mean latent is the nearest to the result."""
    classes = subject.images.classes
    if not classes:
        return None
    point = combined(subject.flat, *triple).astype(np.float64)
    return min(classes, key=lambda name: float(np.square(subject.centre(name) - point).sum()))


def _triples(subject: Subject, choices: Choices) -> list[tuple[int, int, int]]:
    given = {"first": choices.first, "plus": choices.plus, "minus": choices.minus}
    named = [subject.place_of(value, key) for key, value in given.items() if value is not None]
    if named and len(named) < 3:
        raise ConfigError("first, plus and minus go together: give all three, or none.")
    if named:
        return [(named[0], named[1], named[2])]
    count, classes = len(subject.pixels), subject.images.classes
    if count < 3:
        raise PictureError("Latent arithmetic takes three images: give more with --data.")
    if len(classes) >= 3:
        places = [subject.typical(name) for name in classes[: 3 * _ROWS]]
    else:
        places = np.unique(np.linspace(0, count - 1, 3 * _ROWS).round().astype(int)).tolist()
    rows = min(_ROWS, len(places) - 2)
    # Neighbours in the list, each row beginning elsewhere; of three, the third is two further.
    plus = min(3, len(places) - 1)
    return [(places[at], places[(at + plus) % len(places)], places[(at + 1) % len(places)]) for at in range(rows)]
