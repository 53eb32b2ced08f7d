"""The images that are measured on, from memory or from files, in the size and colour of a model."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from aedeploy.data.split import held_out_indices
from aedeploy.errors import ConfigError, ImageError, NothingToDoError
from aedeploy.images.batches import batches
from aedeploy.images.geometry import Geometry
from aedeploy.images.read import quiet_pillow, read_image
from aedeploy.runtime.cores import available_cores


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A file that could not be read, and why."""

    path: str
    reason: str


class ImageSet(Protocol):
    """Images that can be gone through again and again. A protocol: arrays and files are measured alike."""

    def __len__(self) -> int:
        """How many there are, sound or not."""
        ...

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Those that could not be read so far."""
        ...

    @property
    def labels(self) -> tuple[str | None, ...] | None:
        """What each of them shows, in their order; None for one that has no label, or where none has one. Without
        ``failures``: after all batches, those of the images that these had.
        """
        ...

    def batches(self, geometry: Geometry, size: int) -> Iterator[np.ndarray]:
        """The sound ones in their order: uint8 [n, H, W, C], 1 ≤ n ≤ ``size``, in the geometry's size and colour."""
        ...

    def sample(self, images: int) -> ImageSet:
        """At most so many of them, evenly spaced."""
        ...


class ArrayImages:
    """Images held as one uint8 array [N, H, W, C], of any size, grey or colour, with a label each where it has any.

    Raises:
        ConfigError: there are not as many labels as images.
    """

    failures: tuple[Failure, ...] = ()

    def __init__(self, pixels: np.ndarray, labels: tuple[str | None, ...] | None = None) -> None:
        if labels is not None and len(labels) != len(pixels):
            raise ConfigError(f"There are {len(labels)} labels for {len(pixels)} images: give one for each.")
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.pixels)

    def batches(self, geometry: Geometry, size: int) -> Iterator[np.ndarray]:
        if self.pixels.shape[1:] == (geometry.height, geometry.width, geometry.channels):
            yield from batches(self.pixels, geometry, size)
        else:
            plain = self.pixels[..., 0] if self.pixels.shape[3] == 1 else self.pixels
            yield from batches((Image.fromarray(image) for image in plain), geometry, size)

    def sample(self, images: int) -> ArrayImages:
        if images >= len(self):
            return self
        chosen = held_out_indices(len(self), images)
        labels = None if self.labels is None else tuple(self.labels[at] for at in chosen)
        return ArrayImages(self.pixels[chosen], labels)


@dataclass(frozen=True)
class FileImages:
    """Image files, decoded whenever they are gone through. ``names`` are relative to ``root``, and the folder in it
    that a file lies in is its label.
    """

    root: Path
    names: tuple[str, ...]
    _failed: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(Failure(path=name, reason=self._failed[name]) for name in self.names if name in self._failed)

    @property
    def labels(self) -> tuple[str | None, ...] | None:
        folders = tuple(name.rpartition("/")[0] or None for name in self.names if name not in self._failed)
        return folders if any(folders) else None

    def batches(self, geometry: Geometry, size: int) -> Iterator[np.ndarray]:
        workers = available_cores()
        with ThreadPoolExecutor(workers, thread_name_prefix="aedeploy-decode") as pool:
            for start in range(0, len(self.names), size):
                names = self.names[start : start + size]
                # A thread gets a share of the batch, not an image: small ones take less time than handing them over.
                shares = [names[len(names) * at // workers : len(names) * (at + 1) // workers] for at in range(workers)]
                decoded = pool.map(lambda share: self._decode(share, geometry), shares)
                sound = [image for share in decoded for image in share]
                if sound:
                    yield np.stack(sound)

    def sample(self, images: int) -> FileImages:
        if images >= len(self):
            return self
        chosen = held_out_indices(len(self), images)
        return FileImages(self.root, tuple(self.names[at] for at in chosen))

    def _decode(self, names: tuple[str, ...], geometry: Geometry) -> list[np.ndarray]:
        sound = []
        with quiet_pillow():
            for name in names:
                try:
                    sound.append(geometry.apply(read_image(self.root / name, geometry.mode)))
                except ImageError as error:
                    self._failed[name] = str(error)
        return sound


@dataclass(frozen=True, kw_only=True)
class EvaluationImages:
    """What a bundle is measured on.

    ``test`` is measured on, and ``part`` says in words which images of ``name`` those are. A PCA is fitted to
    ``train`` where there is such a part. ``notes`` are for a person. Labels are those of ``test``, and ``classes`` has
    their order where the data set has one of its own.
    """

    name: str
    part: str
    test: ImageSet
    train: ImageSet | None = None
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def sample(self, images: int) -> EvaluationImages:
        """At most so many of ``test``, evenly spaced."""
        if images >= len(self.test):
            return self
        return replace(self, test=self.test.sample(images), part=f"{self.part}; {images} of these, evenly spaced")

    def unreadable(self) -> NothingToDoError:
        """What to raise where not one of ``test`` could be read."""
        reasons = "; ".join(f"{failure.path} ({failure.reason})" for failure in self.test.failures[:3])
        return NothingToDoError(f"None of the images of {self.name} can be read: {reasons}.")
