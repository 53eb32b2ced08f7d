"""What is asked for with --data and the options around it, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aedeploy.bundle import DataRecord
from aedeploy.data import DATA_SETS
from aedeploy.training.data.image_set import ImageSet

COLORS = ("auto", "grey", "rgb")


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """Which images, and how.

    ``data`` is a name (see ``aedeploy.data.DATA_SETS``) or a path; ``image_size`` (height, width), None: as the
    images are; ``held_out``: below 1 a share, from 1 on a number, None: the default; ``workers`` threads decode a
    folder; one whose pixels would take more than ``memory_limit`` bytes is streamed (None: a quarter of what is free);
    ``exclude``: patterns of names in a folder that are left out.
    """

    data: str = "digits"
    data_root: Path | None = None
    image_size: tuple[int, int] | None = None
    color: str = "auto"
    held_out: float | None = None
    workers: int | None = None
    memory_limit: int | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Data:
    """Images to train on and images held out, and what a manifest says of them. ``notes`` are for a person.

    ``photographs``: where both are patches, how many they are of.
    """

    train: ImageSet
    held_out: ImageSet
    record: DataRecord
    notes: tuple[str, ...] = ()
    photographs: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """Data that was found and not yet read: its shape (channels, height, width) is enough to refuse a model."""

    name: str
    image_shape: tuple[int, int, int]
    load: Callable[[], Data]
    notes: tuple[str, ...] = ()
    size_option: str = "--image-size"  # what sets the size of its images, for messages


def data_name(data: str) -> str:
    """What a manifest and a bundle's folder call data: its name, or that of its folder or file, wherever it lies."""
    if data in DATA_SETS:
        return data
    path = Path(data).resolve()
    return (path.stem if path.is_file() else path.name) or "images"
