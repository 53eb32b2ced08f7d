"""The error of a sweep's models against what was swept, such as the latent size, beside PCA of each size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aedeploy.bundle import open_bundle
from aedeploy.config import Config
from aedeploy.errors import AedeployError, PictureError
from aedeploy.evaluation.find import find_images
from aedeploy.evaluation.images import EvaluationImages
from aedeploy.evaluation.pca import fit_components, most_fitted
from aedeploy.images.geometry import Geometry
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.theme import Theme, new_figure, plain_ticks, short
from aedeploy.recipes import short_names
from aedeploy.runtime.codec import image_geometry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = "Sweep"

#: What ``aedeploy sweep`` writes.
RESULTS_FILE = "results.json"
_LATENT = "model.latent_dim"
_METRIC = "mse"


class Choices(Config):
    """Nothing."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """The points of one combination of everything but the axis: ``at`` values of it, and the held-out ``mse``."""

    name: str
    at: np.ndarray
    mse: np.ndarray


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds the results of a sweep."""
    return (folder / RESULTS_FILE).is_file()


def draw_sweep(
    folder: Path, theme: Theme, *, data: str | None = None, root: Path | None = None, limit: int | None = None
) -> Picture:
    """Draw the results of ``aedeploy sweep`` in a folder; within :func:`aedeploy.pictures.theme.drawing`.

    ``data``, ``root`` and ``limit`` say what PCA is measured on; by default all held-out images of what the models were
    trained on, where these can be found.

    Raises:
        PictureError: there are no results, or nothing that was swept is a number.
    """
    results = _read(folder)
    axis = _axis(results)
    lines = lines_of(results, axis)
    figure = new_figure(6.6, 4.2)
    axes = figure.add_subplot()
    _draw_lines(axes, lines, str(results["variant"]), theme)
    images, pca, notes = None, None, []
    if axis == _LATENT:
        try:
            bundle = open_bundle(folder / results["results"][0]["point"])
            images = find_images(bundle, data, root=root, limit=limit)
            sizes = np.unique(np.concatenate([line.at for line in lines])).astype(int)
            pca = pca_curve(images, image_geometry(bundle), sizes.tolist())
            notes += _pca_notes(images, str(results["data"]))
        except AedeployError as error:
            notes.append(f"Without PCA: {error}")
    if pca is not None:
        found = list(pca), list(pca.values())
        axes.plot(*found, color=theme.faint, linestyle="--", marker=".", label="PCA of that size")
    _scale(axes, lines)
    axes.set_xlabel("numbers of the latent" if axis == _LATENT else axis)
    axes.set_ylabel("held-out mean squared error\n(pixels in [0, 1])")
    axes.legend(fontsize=10)
    if len(lines) > len(theme.hues):
        notes.append(f"Only the first {len(theme.hues)} of {len(lines)} lines are drawn.")
    return Picture(
        kind="sweep",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "Lower is better; where a curve runs flat, more of what was swept gains nothing"
            + (", and above the dashed line a linear model of the same size does better." if pca else ".")
        ),
        figures={
            "axis": axis,
            "lines": {
                line.name or str(results["variant"]): {
                    f"{at:g}": mse for at, mse in zip(line.at.tolist(), line.mse.tolist(), strict=True)
                }
                for line in lines
            },
            "pca": None if pca is None else {str(size): mse for size, mse in pca.items()},
        },
        notes=tuple(notes),
        failures=() if images is None else images.test.failures,
        tried=0 if images is None else len(images.test),
    )


def _draw_lines(axes: Axes, lines: list[Line], variant: str, theme: Theme) -> None:
    for line, marker, hue in zip(lines, "osD^vP*Xh8", theme.hues, strict=False):
        axes.plot(line.at, line.mse, marker=marker, color=hue, label=short(line.name or variant, 40))


def _scale(axes: Axes, lines: list[Line]) -> None:
    """Logarithmic axes, where the values are such."""
    values = np.concatenate([line.at for line in lines])
    if values.min() > 0 and values.max() >= 8 * values.min():
        axes.set_xscale("log", base=2)
        ticks = np.unique(values)
        axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
        axes.minorticks_off()
    if min(line.mse.min() for line in lines) > 0.0:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)


def _pca_notes(images: EvaluationImages, trained_on: str) -> list[str]:
    notes = []
    if images.train is None:
        notes.append("PCA is fitted to the images that it is measured on, which favours it.")
    if images.name != trained_on:
        notes.append(f"PCA is of {images.name}, the models' errors are of held-out images of {trained_on}.")
    return notes


def lines_of(results: dict[str, Any], axis: str) -> list[Line]:
    """The rows of ``results.json``, one line for each combination of the other axes, by rising values of ``axis``.

    Where that is the latent's size, by all numbers of the latent, also of one that has a height and a width.
    """
    names = short_names(list(results["over"]))
    found: dict[str, list[tuple[float, float]]] = {}
    for row in results["results"]:
        mse = row["test"].get(_METRIC)
        if mse is None:
            continue
        others = ", ".join(f"{names[key]} {value}" for key, value in row["values"].items() if key != axis)
        value = row["latent"] if axis == _LATENT and row.get("latent") else row["values"][axis]
        found.setdefault(others, []).append((float(value), float(mse)))
    if not found:
        raise PictureError("No model of the sweep has a mean squared error of held-out images.")
    return [
        Line(name=name, at=np.array(sorted(points))[:, 0], mse=np.array(sorted(points))[:, 1])
        for name, points in found.items()
    ]


def pca_curve(images: EvaluationImages, geometry: Geometry, sizes: list[int]) -> dict[int, float]:
    """The MSE, pixels in [0, 1], of PCA with each number of components that is below that of an image's values: fitted
    to the training part of the images where they have one, and measured on the others.
    """
    values = geometry.height * geometry.width * geometry.channels
    sizes = [size for size in sizes if size < values]
    train = (images.train or images.test).sample(most_fitted(values))
    fitted = [batch.reshape(len(batch), values) for batch in train.batches(geometry, 256)]
    if not fitted:
        raise images.unreadable()
    components = fit_components(np.concatenate(fitted), max(sizes, default=0))
    squared, count = dict.fromkeys(sizes, 0.0), 0
    for batch in images.test.batches(geometry, 256):
        rows = batch.reshape(len(batch), values) / 255.0
        count += rows.size
        coefficients = components.project(rows)
        # Orthonormal: what the first k leave over is what all of it had, less their squares.
        taken = np.cumsum([0.0, *np.square(coefficients).sum(axis=0)])
        whole = np.square(rows - components.mean).sum()
        for size in sizes:
            squared[size] += float(whole - taken[min(size, len(taken) - 1)])
    return {size: max(0.0, value) / count for size, value in squared.items()}


def draw(subject: object, choices: Choices, theme: Theme) -> Picture:
    raise PictureError("A sweep is drawn of its folder, and not of a bundle:  aedeploy plot sweep SWEEP")


def _read(folder: Path) -> dict[str, Any]:
    path = folder / RESULTS_FILE
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        _check(results)
    except FileNotFoundError:
        raise PictureError(f"{folder} holds no {RESULTS_FILE}: name the folder that aedeploy sweep wrote.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PictureError(
            f"{path} is not what a sweep writes, or has no trained model: run the sweep again."
        ) from None
    checked: dict[str, Any] = results
    return checked


def _check(results: dict[str, Any]) -> None:
    """Raise some error where what is read here is not there."""
    over = {key: list(values) for key, values in results["over"].items()}
    for row in results["results"]:
        if not isinstance(row["point"], str) or any(row["values"][key] not in values for key, values in over.items()):
            raise ValueError
        mse = row["test"].get(_METRIC)
        if mse is not None and not (isinstance(mse, (int, float)) and np.isfinite(mse)):
            raise ValueError
    if not results["results"] or not isinstance(results["variant"], str) or not isinstance(results["data"], str):
        raise ValueError


def _axis(results: dict[str, Any]) -> str:
    numeric = [
        key
        for key, values in results["over"].items()
        if len(values) > 1 and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    ]
    if not numeric:
        raise PictureError(f"Nothing that was swept ({', '.join(results['over'])}) is a number of two values or more.")
    return _LATENT if _LATENT in numeric else str(numeric[0])
