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
    """The file, and the training loss of its last epoch. Epochs that a resumed run does again are taken out of it."""

    def __init__(self, folder: Path, epochs_done: int) -> None:
        self.path = folder / HISTORY_FILE
        lines = [line for line in _read(self.path) if line["epoch"] <= epochs_done] if epochs_done else []
        self.train_loss: float | None = lines[-1]["train_loss"] if lines else None
        if self.path.exists():
            write_text(self.path, "".join(map(_line, lines)))

    def add(self, done: EpochDone) -> None:
        """Append an epoch."""
        values = asdict(done)
        del values["epochs"]
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(_line(values))
        self.train_loss = done.train_loss


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, allow_nan=False) + "\n"


def _read(path: Path) -> list[dict[str, Any]]:
    lines = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            lines.append(json.loads(line))
    except (OSError, ValueError):
        # Missing, or cut off where a process died: it is a record, not a state, and a run goes on without it.
        pass
    return lines
