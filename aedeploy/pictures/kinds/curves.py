"""The losses of training by epoch, all parts, on training and held-out images, and the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aedeploy.config import Config
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, new_figure, plain_ticks, whole_ticks

TITLE = "Training"

# Above so many times the least, a loss is drawn on a logarithmic axis.
_DECADE = 10.0


class Choices(Config):
    """Nothing."""


def series(epochs: list[dict[str, Any]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By the name of a loss, ``loss`` the whole, its values on training and on held-out images: float64 [E] each, NaN
    where an epoch has none.
    """
    parts = dict.fromkeys(name for epoch in epochs for name in _parts(epoch, "train_parts"))
    found = {"loss": tuple(np.array([_number(e.get(key)) for e in epochs]) for key in ("train_loss", "held_out_loss"))}
    for name in parts:
        found[name] = tuple(
            np.array([_number(_parts(epoch, key).get(name)) for epoch in epochs])
            for key in ("train_parts", "held_out_parts")
        )
    return {name: (train, held_out) for name, (train, held_out) in found.items()}


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    epochs = subject.history()
    at = np.array([_number(epoch["epoch"]) for epoch in epochs])
    losses = series(epochs)
    if len(losses) == 2:  # the whole loss and its only part
        losses.pop(next(name for name in losses if name != "loss"))
    panels = len(losses) + 1
    columns = 2 if panels in (2, 4) else min(3, panels)
    rows = -(-panels // columns)
    figure = new_figure((3.1 if columns == 3 else 3.8) * columns + 0.4, 2.7 * rows + 0.3)
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    marker = "o" if len(epochs) == 1 else None
    best = [epoch["epoch"] for epoch in epochs if epoch.get("best")]
    for axes, (name, (train, held_out)) in zip(every, losses.items(), strict=False):
        axes.plot(at, train, color=theme.first, marker=marker, label="training")
        axes.plot(at, held_out, color=theme.second, marker=marker, linestyle="--", label="held out")
        axes.set_ylabel(name, fontsize=10)
        _logarithmic(axes, np.concatenate([train, held_out]))
        if name == "loss" and best:
            axes.axvline(best[-1], color=theme.faint, linewidth=1.0, linestyle=":")
    rate = every[len(losses)]
    rate.plot(at, [_number(epoch.get("lr")) for epoch in epochs], color=theme.faint, marker=marker)
    rate.set_ylabel("learning rate", fontsize=10)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    rate.set_ylim(bottom=0.0)
    for axes in every[:panels]:
        axes.set_xlabel("epoch")
        whole_ticks(axes.xaxis)
    for axes in every[panels:]:
        axes.remove()
    handles, labels = every[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2, fontsize=10)
    train, held_out = losses["loss"]
    return Picture(
        kind="curves",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "Both losses fall together while the model learns; held-out images whose loss turns up while that of the "
            "training images goes on falling mean overfitting"
            + ("; the dotted line is the epoch whose weights these are." if best else ".")
        ),
        figures={
            "epochs": len(epochs),
            "best_epoch": best[-1] if best else None,
            "train_loss": float(train[-1]) if np.isfinite(train[-1]) else None,
            "held_out_loss": float(held_out[-1]) if np.isfinite(held_out[-1]) else None,
        },
        notes=_notes(epochs, parts=len(losses) > 1),
    )


def _logarithmic(axes: Any, values: np.ndarray) -> None:
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0.0 and known.max() > _DECADE * known.min():
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)


def _notes(epochs: list[dict[str, Any]], *, parts: bool) -> tuple[str, ...]:
    notes = []
    if parts:
        notes.append("The parts of the loss are drawn before their weights.")
    phases = list(dict.fromkeys(str(epoch.get("phase")) for epoch in epochs))
    if len(phases) > 1:
        notes.append(f"Trained in {len(phases)} phases, one after the other, whose losses are not of one kind.")
    return tuple(notes)


def _parts(epoch: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    parts = epoch.get(key)
    return parts if isinstance(parts, Mapping) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
