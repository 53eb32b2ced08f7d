"""Images in rows and columns, as one picture of matplotlib's, with words beside and below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Rows of uint8 images [H, W, C], C = 1, 3 or 4, all of one size; None: an empty cell.
Rows = Sequence[Sequence[np.ndarray | None]]

# Above so many pixels a side an image is smoothed where it is shown smaller, below it its pixels are shown as squares.
_SQUARES = 64
#: The width of a cell in a figure.
CELL_INCHES = 0.62


def sheet(rows: Rows) -> np.ndarray:
    """All images in one, uint8 [H, W, 4], transparent between and where there is none; see :func:`cell`."""
    shape = next(image.shape for row in rows for image in row if image is not None)
    gap = _gap(shape)
    height, width = shape[0] + gap, shape[1] + gap
    columns = max(map(len, rows))
    picture = np.zeros((len(rows) * height, columns * width, 4), np.uint8)
    for at, row in enumerate(rows):
        for place, image in enumerate(row):
            if image is not None:
                cell(picture, at, place, shape)[:] = _rgba(image)
    return picture


def cell(picture: np.ndarray, row: int, column: int, shape: tuple[int, ...]) -> np.ndarray:
    """The pixels of one image in a :func:`sheet` of images of that shape: a view, [H, W, 4]."""
    gap = _gap(shape)
    top, left = row * (shape[0] + gap) + gap // 2, column * (shape[1] + gap) + gap // 2
    return picture[top : top + shape[0], left : left + shape[1]]


def show(
    axes: Axes, rows: Rows, *, names: Sequence[str] = (), heads: Sequence[str] = (), feet: Sequence[str] = ()
) -> None:
    """Show images, a cell one unit wide and high from (0, 0), the upper left: ``names`` left of the rows, and above the
    columns ``heads``, or below them ``feet``.
    """
    picture = sheet(rows)
    count, columns = len(rows), max(map(len, rows))
    shape = next(image.shape for row in rows for image in row if image is not None)
    interpolation = "none" if max(shape[:2]) <= _SQUARES else "auto"
    axes.imshow(picture, extent=(0, columns, count, 0), interpolation=interpolation, aspect="auto")
    axes.set_box_aspect(count * shape[0] / (columns * shape[1]))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks([at + 0.5 for at in range(len(names))], names)
    axes.set_xticks([at + 0.5 for at in range(len(heads or feet))], heads or feet)
    if heads:
        axes.xaxis.tick_top()


def figure_size(shape: tuple[int, ...], rows: int, columns: int) -> tuple[float, float]:
    """Width and height in inches that such a grid needs, but for the words around it."""
    inches = CELL_INCHES if columns > 6 else 1.3 * CELL_INCHES
    width = columns * inches
    return width, width * rows * shape[0] / (columns * shape[1])


def enlarged(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A smaller picture, [h, w, C], in the height and width of ``shape``, each of its pixels a block."""
    rows = np.arange(shape[0]) * picture.shape[0] // shape[0]
    columns = np.arange(shape[1]) * picture.shape[1] // shape[1]
    larger: np.ndarray = picture[rows][:, columns]
    return larger


def _gap(shape: tuple[int, ...]) -> int:
    """Pixels between two images: always even, so that both sides of an image have the same."""
    return 2 * max(1, round(shape[1] / 32))


def _rgba(image: np.ndarray) -> np.ndarray:
    opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
    if image.shape[2] == 4:
        return image
    return np.concatenate([np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image, opaque], axis=2)
