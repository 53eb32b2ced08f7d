"""The latents of images as points of a plane, coloured by label."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.pictures.picture import HoverPoints, Picture
from aedeploy.pictures.scatter import Method, Plane, plane
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, new_figure, short

TITLE = "The latent space"

# Classes that have a hue of their own; one more is drawn with the rest.
_MOST_CLASSES = 10
# Rows of distances that are formed at a time.
_BLOCK = 1024


class Choices(Config):
    """What may be chosen."""

    method: Method = Field(
        default="auto", description="auto: two numbers as they are, more by pca. tsne: a map of who is near whom."
    )


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    found = plane(subject.flat, choices.method, subject.seed)
    figure = new_figure(6.8, 5.6 if found.points.shape[1] == 2 else 3.6)
    axes = figure.add_subplot()
    points = found.points if found.points.shape[1] == 2 else _in_rows(found.points, subject)
    labels, classes = _drawn_classes(subject)
    # Opaque, so that a hue is the hue that it was chosen to be; an edge parts points that touch.
    look: dict[str, Any] = {"s": 15, "linewidths": 0.4, "edgecolors": theme.page}
    for at, name in enumerate(classes):
        own = points[labels == name]
        axes.scatter(own[:, 0], own[:, 1], color=theme.hues[at], label=short(name), **look)
    if not classes:
        axes.scatter(points[:, 0], points[:, 1], color=theme.first, **look)
    elif (rest := ~np.isin(labels, classes)).any():
        axes.scatter(points[rest, 0], points[rest, 1], color=theme.faint, label="others", **look)
    axes.set_xlabel(found.axes[0])
    if found.points.shape[1] == 2:
        axes.set_ylabel(found.axes[1])
        axes.set_aspect("equal", adjustable="datalim")
        figure.draw_without_rendering()  # which widens the axes' range: the layout has to know it
        _name_clusters(axes, points, labels, classes, theme)
    else:
        rows = list(subject.images.classes) if len(subject.images.classes) <= _MOST_CLASSES else []
        axes.set_yticks(range(len(rows)), [short(name, 16) for name in rows])
        axes.set_ylabel("label" if classes else "spread for the eye")
    if classes:
        figure.legend(loc="outside right upper", markerscale=1.6, fontsize=10)
    names = [_called(label) for label in subject.images.labels or ()]
    return Picture(
        kind="latents",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=_reading(found, bool(classes)),
        figures={
            "method": found.method,
            "numbers": subject.flat.shape[1],
            "explained_variance": list(found.explained),
            "neighbours_of_same_label": same_label_share(subject.flat, labels) if classes else None,
        },
        notes=_notes(found, subject),
        hover=HoverPoints(
            axes=axes,
            points=points,
            images=subject.pixels,
            names=names or [f"image {at}" for at in range(len(points))],
        ),
    )


def same_label_share(flat: np.ndarray, labels: np.ndarray) -> float | None:
    """The share of images with a label whose nearest neighbour among these, by the latents, [N, D], has the same label;
    None where there are fewer than two. ``labels``: of strings, None for an image that has none.
    """
    known = np.array([label is not None for label in labels])
    rows, labels = flat[known].astype(np.float64), labels[known]
    if len(rows) < 2:
        return None
    squares = np.square(rows).sum(axis=1)
    same = 0
    for start in range(0, len(rows), _BLOCK):
        at = np.arange(start, min(start + _BLOCK, len(rows)))
        distance = squares - 2.0 * rows[at] @ rows.T  # less the square of the row itself, which is the same for all
        distance[np.arange(len(at)), at] = np.inf
        same += int((labels[distance.argmin(axis=1)] == labels[at]).sum())
    return same / len(rows)


def _drawn_classes(subject: Subject) -> tuple[np.ndarray, list[str]]:
    labels = np.array(subject.images.labels or (), dtype=object)
    classes = list(subject.images.classes)
    if len(classes) > _MOST_CLASSES:
        often = sorted(classes, key=lambda name: -int((labels == name).sum()))[: _MOST_CLASSES - 1]
        classes = [name for name in classes if name in often]
    return labels, classes


def _in_rows(points: np.ndarray, subject: Subject) -> np.ndarray:
    """Points of one number, a row for each label, spread within it, since they hide one another on a line."""
    spread = np.random.default_rng(0).uniform(-0.35, 0.35, len(points))
    names, labels = _row_names(subject), subject.images.labels
    rows = np.array([names.index(_called(label)) for label in labels]) if labels else np.zeros(len(points))
    return np.stack([points[:, 0], rows + spread], axis=1)


def _row_names(subject: Subject) -> list[str]:
    """In the order of the legend; what has no label is the last."""
    return [*subject.images.classes, _called(None)]


def _called(label: str | None) -> str:
    return "no label" if label is None else label


def _name_clusters(axes: Any, points: np.ndarray, labels: np.ndarray, classes: list[str], theme: Theme) -> None:
    """Each class's name where most of it is, so that colour is not all that tells them apart."""
    import matplotlib.patheffects as effects

    for name in classes:
        at = np.median(points[labels == name], axis=0)
        text = axes.text(
            *at,
            short(name, 12),
            in_layout=False,
            fontsize=12,
            fontweight="bold",
            ha="center",
            va="center",
            color=theme.ink,
        )
        text.set_path_effects([effects.withStroke(linewidth=3, foreground=theme.page)])


def _reading(found: Plane, labelled: bool) -> str:
    what = "Each point is an image; images that the encoder finds alike are near one another"
    if labelled:
        what += ", and a class that keeps to itself has a colour to itself"
    if found.explained:
        return f"{what}. The two directions of the largest variance are shown, {sum(found.explained):.0%} of it."
    return f"{what}."


def _notes(found: Plane, subject: Subject) -> tuple[str, ...]:
    notes = []
    if found.method.startswith("t-SNE"):
        notes.append("Only who is near whom means something here: distances between groups and their sizes do not.")
    if not subject.images.classes:
        notes.append("The images have no labels: put each class in a folder of its own to have it coloured.")
    elif len(subject.images.classes) > _MOST_CLASSES:
        notes.append(f"Of {len(subject.images.classes)} classes the {_MOST_CLASSES - 1} largest have a colour.")
    return tuple(notes)
