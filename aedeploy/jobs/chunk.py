"""A chunk: the images that a worker reads, runs and writes in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from aedeploy.errors import ImageError
from aedeploy.images.geometry import Geometry
from aedeploy.images.read import read_image
from aedeploy.jobs.spec import Failure, Settings, Source
from aedeploy.runtime.runner import Arrays


@dataclass(kw_only=True)
class Chunk:
    """What became of some inputs. The rows of ``arrays`` belong to ``ok``, one each, in order."""

    processed: Sequence[Source]
    ok: list[Source]
    arrays: Arrays = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def keep(self, good: np.ndarray, reason: str) -> None:
        """Leave out the rows that are not ``good`` (bool [rows]): each becomes a failure."""
        if good.all():
            return
        self.failures += [
            Failure(path=source.path, reason=reason) for source, fine in zip(self.ok, good, strict=True) if not fine
        ]
        self.ok = [source for source, fine in zip(self.ok, good, strict=True) if fine]
        self.arrays = {name: array[good] for name, array in self.arrays.items()}


def read_chunk(settings: Settings, geometry: Geometry, sources: Sequence[Source]) -> Chunk:
    """Read images: ``pixels`` uint8 [n, H, W, C], and ``sizes`` int64 [n, 2], their own width and height.

    An image that cannot be read is a failure of its own; the others keep their order.
    """
    chunk = Chunk(processed=sources, ok=[])
    pixels = np.empty((len(sources), geometry.height, geometry.width, geometry.channels), np.uint8)
    sizes = np.empty((len(sources), 2), np.int64)
    for source in sources:
        try:
            image = read_image(f"{settings.root}/{source.file}", geometry.mode)
            pixels[len(chunk.ok)] = geometry.apply(image)
        except ImageError as error:
            chunk.failures.append(Failure(path=source.path, reason=str(error)))
            continue
        sizes[len(chunk.ok)] = image.size
        chunk.ok.append(source)
    chunk.arrays = {"pixels": pixels[: len(chunk.ok)], "sizes": sizes[: len(chunk.ok)]}
    return chunk


def finite_rows(array: np.ndarray) -> np.ndarray:
    """bool [rows]: which have neither NaN nor infinity."""
    finite: np.ndarray = np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    return finite
