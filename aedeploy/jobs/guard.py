"""No output lands where the inputs are, wherever the output folder and the links in it lead."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aedeploy.errors import ConfigError
from aedeploy.jobs.spec import Source


class Guard:
    """Looks at the inputs of a job as they are listed, before an output of them is written."""

    def __init__(self, place: Path, output: Path) -> None:
        """``place``: the input folder, or the one file that is the input."""
        self._output = output
        self._root = place if place.is_dir() else place.parent
        self._top = Path(os.path.realpath(place)) if place.is_dir() else None
        self._inputs: set[Path] = set()
        self._targets: set[Path] = set()
        self._looked_at: set[tuple[str, str]] = set()

    def look(self, sources: Sequence[Source]) -> None:
        """Look at some more.

        Raises:
            ConfigError: an output would be in the input folder, or beside an input that a link leads to.
        """
        new = {(_folder(source.file), _folder(source.path)) for source in sources} - self._looked_at
        self._looked_at |= new
        inputs = {Path(os.path.realpath(self._root / file)) for file, _ in new}
        targets = {Path(os.path.realpath(f"{self._output}/{path}")) for _, path in new}
        self._inputs |= inputs
        self._targets |= targets
        met = (targets & self._inputs) | (inputs & self._targets)
        if self._top is not None:
            met |= {target for target in targets if target.is_relative_to(self._top)}
        if met:
            raise ConfigError(
                f"--out {self._output} would put outputs into {min(met)}, where the inputs are: "
                "name a folder outside of it."
            )


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
