"""What the tests of sources share: a listing, taken together, and images of known content."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from aedeploy.jobs.sources import Group, Selection, find_origin, list_inputs, open_contents
from aedeploy.jobs.spec import Origin, Source


@dataclass
class Listed:
    """All groups of a listing, together."""

    origin: Origin
    groups: list[Group] = field(default_factory=list)

    @property
    def sources(self) -> list[Source]:
        return [source for group in self.groups for source in group.sources]

    @property
    def paths(self) -> list[str]:
        return [source.path for source in self.sources]

    @property
    def failures(self) -> dict[str, str]:
        return {failure.path: failure.reason for group in self.groups for failure in group.failures}

    @property
    def others(self) -> list[str]:
        return [other for group in self.groups for other in group.others]

    def contents(self) -> dict[str, bytes | Path]:
        contents = open_contents(self.origin)
        try:
            return {source.path: contents.read(source) for source in self.sources}
        finally:
            contents.close()


def listed(text: str | Path, **selection: object) -> Listed:
    origin = find_origin(str(text))
    return Listed(origin, list(list_inputs(origin, Selection(**selection))))  # type: ignore[arg-type]


def png(grey: int = 100) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8), grey, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def touch(root: Path, names: Iterable[str]) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
