"""``history.jsonl``: one line an epoch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aedeploy.bundle.store import HISTORY_FILE
from aedeploy.files import write_text
from aedeploy.training.events import EpochDone


class History:
    """The lines of a run, and their file. Epochs that a resumed run is going to do again are left out."""

    def __init__(self, folder: Path, epochs_done: int) -> None:
        self.path = folder / HISTORY_FILE
        self.lines = [line for line in _read(self.path) if line["epoch"] <= epochs_done] if epochs_done else []

    def add(self, done: EpochDone) -> None:
        """Add an epoch; the file is whole at every instant."""
        line = asdict(done)
        del line["epochs"]
        self.lines.append(line)
        write_text(self.path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in self.lines))

    @property
    def train_loss(self) -> float | None:
        """Of the last epoch."""
        return self.lines[-1]["train_loss"] if self.lines else None


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        # It is a record, not a state: a run goes on without it.
        return []
