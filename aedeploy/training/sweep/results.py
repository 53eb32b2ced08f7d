"""What the points of a sweep came to: a row each, and the table of them as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from aedeploy.bundle.store import open_bundle
from aedeploy.errors import BundleError
from aedeploy.files import write_json, write_text
from aedeploy.recipes import short_names
from aedeploy.training.sweep.grid import Axis, Values, label, value_text

#: In a point's folder: its row, written when its training has ended.
POINT_FILE = "point.json"
RESULTS = ("results.json", "results.csv", "results.md")

# The figures that have a better and a worse, whatever the objective; a loss is in units of its own.
_LOWER_IS_BETTER = ("mse", "mae", "bce")
_HIGHER_IS_BETTER = ("psnr", "ssim", "elbo_nats")
# Of a table for people: no parts of a loss, and nothing that is the same for all models.
_NOT_SHOWN = ("epochs", "best_epoch")
_NOT_SHOWN_BEGIN = ("loss_", "noisy_")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A point that is trained.

    ``latent``: numbers that the encoder makes of an image; ``compression_ratio``: the image's own numbers, all
    channels, by those; both None of a model without an encoder of its own. ``seconds``: of the training steps, over
    all epochs. ``weights`` and ``data`` are digests.
    """

    point: str
    values: Values
    latent: int | None
    parameters: int
    compression_ratio: float | None
    epochs: int
    train_loss: float | None
    test: Mapping[str, float | int | None]
    seconds: float
    weights: str
    data: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A point that could not be trained."""

    point: str
    values: Values
    reason: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """All rows, in the order of the grid, and what there is none of."""

    variant: str
    data: str
    axes: tuple[Axis, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    unfinished: tuple[str, ...]

    @property
    def figures(self) -> list[str]:
        """The names of all test figures, in the order in which they first come."""
        return list(dict.fromkeys(name for row in self.rows for name in row.test if name != "epochs"))

    @property
    def best(self) -> dict[str, str]:
        """For each figure that has a better and a worse, the point that has the best; of equals the first."""
        found = {}
        for name in self.figures:
            sign = -1 if name.endswith(_HIGHER_IS_BETTER) else 1 if name.endswith(_LOWER_IS_BETTER) else 0
            known = [(sign * value, row.point) for row in self.rows if (value := row.test.get(name)) is not None]
            if known and sign and not name.startswith(_NOT_SHOWN_BEGIN):
                found[name] = min(known, key=lambda pair: pair[0])[1]
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in ``results.json``."""
        return {
            "variant": self.variant,
            "data": self.data,
            "over": {axis.key: list(axis.values) for axis in self.axes},
            "results": [asdict(row) for row in self.rows],
            "best": self.best,
            "failures": [asdict(failure) for failure in self.failures],
            "unfinished": list(self.unfinished),
        }

    def csv(self) -> str:
        """A line a point, with every figure in full; lists as JSON."""
        keys, figures, best = [axis.key for axis in self.axes], self.figures, self.best
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        sizes = ("latent", "parameters", "compression_ratio", "epochs")
        writer.writerow(["point", *keys, *sizes, "train_loss", *figures, "seconds", "best"])
        for row in self.rows:
            leads = " ".join(name for name, point in best.items() if point == row.point)
            writer.writerow(
                [
                    row.point,
                    *(value_text(row.values[key]) for key in keys),
                    *(getattr(row, size) for size in sizes),
                    row.train_loss,
                    *(row.test.get(name) for name in figures),
                    row.seconds,
                    leads,
                ]
            )
        return stream.getvalue()

    def cells(self) -> tuple[list[str], list[list[tuple[str, bool]]]]:
        """The table for people: the heads of its columns, and by row each cell with whether it is its column's best."""
        names, best = short_names([axis.key for axis in self.axes]), self.best
        shown = [n for n in self.figures if n not in _NOT_SHOWN and not n.startswith(_NOT_SHOWN_BEGIN)]
        heads = [*names.values(), "latent", "parameters", "ratio", "epochs", *shown, "seconds"]
        return heads, [
            [
                *((value_text(row.values[key]), False) for key in names),
                (_figure(row.latent), False),
                (f"{row.parameters:,}", False),
                ("–" if row.compression_ratio is None else f"{row.compression_ratio:.3g}", False),
                (str(row.epochs), False),
                *((_figure(row.test.get(name)), best.get(name) == row.point) for name in shown),
                (f"{row.seconds:.1f}", False),
            ]
            for row in self.rows
        ]

    def markdown(self) -> str:
        """A page: the table, the best of each figure in bold, and what is missing."""
        heads, rows = self.cells()
        values = len(self.axes)
        lines = [
            f"# A sweep of {self.variant} on {self.data}",
            "",
            *(f"- `{axis.key}`: {', '.join(map(value_text, axis.values))}" for axis in self.axes),
            "",
            f"| {' | '.join(_escaped(head) for head in heads)} |",
            f"|{'---|' * values}{'---:|' * (len(heads) - values)}",
            *(
                f"| {' | '.join(f'**{_escaped(cell)}**' if best else _escaped(cell) for cell, best in row)} |"
                for row in rows
            ),
            "",
            "Bold: the best of a column. Ratio: numbers of an image by numbers of its latent. The figures are those of "
            "the held-out images. Seconds: of the training steps, beside whatever else ran at the time.",
        ]
        if self.failures:
            lines += ["", "Failed:", ""]
            lines += [f"- {label(failure.values)}: {' '.join(failure.reason.split())}" for failure in self.failures]
        if self.unfinished:
            lines += ["", f"Not finished: {', '.join(self.unfinished)}."]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """The three files of :data:`RESULTS`."""
        write_json(folder / RESULTS[0], self.as_dict())
        write_text(folder / RESULTS[1], self.csv())
        write_text(folder / RESULTS[2], self.markdown())


def read_row(folder: Path) -> Row | None:
    """The row of the point in ``folder``, if it is there and of the weights that are there."""
    try:
        values = json.loads((folder / POINT_FILE).read_text(encoding="utf-8"))
        row = Row(**{part.name: values[part.name] for part in fields(Row)})
        return row if open_bundle(folder).manifest.weights.sha256 == row.weights else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, BundleError):
        return None


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
