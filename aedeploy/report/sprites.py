"""Many small images as one, in the page itself: a sheet that a script shows one cell of."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np

from aedeploy.pictures.picture import Frames, HoverPoints

#: Pixels of the longer side of an image that a point shows, at the most.
THUMBNAIL = 48
#: The same of an image of a strip.
FRAME = 96
#: Points of a picture that answer, at the most: the page carries an image of each.
MOST_POINTS = 4000

# Values of a sheet: larger ones are written with losses, since a thousand photographs are megabytes without.
_EXACT = 2**19
_QUALITY = 82
# Pixels of a side that WebP can have.
_LONGEST = 16_383


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """``uri``: the picture, ``data:image/…``. ``width`` and ``height`` of one cell in pixels."""

    uri: str
    columns: int
    rows: int
    width: int
    height: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "uri": self.uri,
            "columns": self.columns,
            "rows": self.rows,
            "width": self.width,
            "height": self.height,
        }


def sheet(images: np.ndarray, columns: int, longest: int) -> Sheet:
    """Images, uint8 [N, H, W, C] with C = 1 or 3, row by row, shrunk until their longer side is ``longest``."""
    small = _shrunk(images, longest)
    count, height, width, channels = small.shape
    rows = ceil(count / columns)
    cells = np.zeros((rows * columns, height, width, channels), np.uint8)
    cells[:count] = small
    grid = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    picture = grid.reshape(rows * height, columns * width, channels)
    return Sheet(uri=data_uri(picture), columns=columns, rows=rows, width=width, height=height)


def data_uri(picture: np.ndarray) -> str:
    """A picture, uint8 [H, W, C] with C = 1 or 3, as an address that holds it."""
    from PIL import Image, features

    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    stream = io.BytesIO()
    if picture.size > _EXACT and max(picture.shape) <= _LONGEST and features.check("webp"):
        image.save(stream, "WEBP", quality=_QUALITY, method=4)
        kind = "webp"
    else:
        image.save(stream, "PNG", optimize=True)
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def of_points(hover: HoverPoints) -> dict[str, Any]:
    """For the page's script: where each point is, in shares of the picture's width and height, and what it shows.

    To be called when the picture was written last, as what the page has. Of more than :data:`MOST_POINTS`, so many at
    even distances in their order: ``numbers`` are theirs, from 0, among all ``of``.
    """
    total = len(hover.images)
    chosen = np.linspace(0, total - 1, min(total, MOST_POINTS)).round().astype(int)
    places = hover.places()[chosen]
    found = sheet(hover.images[chosen], ceil(sqrt(len(chosen))), THUMBNAIL)
    return {
        "sheet": found.as_dict(),
        "points": [[round(float(x), 5), round(float(y), 5)] for x, y in places],
        "names": [str(hover.names[at]) for at in chosen],
        "numbers": chosen.tolist(),
        "of": total,
    }


def of_frames(frames: Frames) -> dict[str, Any]:
    """For the page's script: a row of the sheet for each strip, a column for each step."""
    found = sheet(np.concatenate(list(map(np.asarray, frames.rows))), len(frames.steps), FRAME)
    return {"sheet": found.as_dict(), "names": list(frames.names), "steps": _steps(frames.steps)}


def _steps(steps: Sequence[str]) -> list[str]:
    return [f"{at + 1} of {len(steps)}" + (f": {step}" if step else "") for at, step in enumerate(steps)]


def _shrunk(images: np.ndarray, longest: int) -> np.ndarray:
    from PIL import Image

    height, width, channels = images.shape[1:]
    if max(height, width) <= longest:
        return images
    share = longest / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    planes = (image[..., 0] if channels == 1 else image for image in images)
    small = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX)) for plane in planes]
    return np.stack(small).reshape(len(images), size[1], size[0], channels)
