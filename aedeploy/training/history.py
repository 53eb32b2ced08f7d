"""``history.jsonl``: one line an epoch."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite, nan
from pathlib import Path
from typing import Any

from aedeploy.bundle.store import HISTORY_FILE
from aedeploy.errors import IntegrityError
from aedeploy.files import write_text
from aedeploy.training.events import EpochDone, PastEpoch


class History:
    """The file, the training loss of its last epoch, and what there was ``before`` this run.

    Epochs that a resumed run does again are taken out of it.

    Raises:
        IntegrityError: a line of it is not an epoch's.
    """

    def __init__(self, folder: Path, epochs_done: int) -> None:
        self.path = folder / HISTORY_FILE
        self.train_loss: float | None = None
        kept, before = "", []
        for line, past in _read(self.path) if epochs_done else []:
            if past.epoch <= epochs_done:
                kept, self.train_loss = f"{kept}{line}\n", past.train_loss
                before.append(past)
        self.before: tuple[PastEpoch, ...] = tuple(before)
        self._kept: str | None = kept  # None once the file is this run's

    def begin(self) -> None:
        """Make the file this run's. Not before there is something of it: what is replaced stays whole until then."""
        if self._kept is not None:
            write_text(self.path, self._kept)
            self._kept = None

    def add(self, done: EpochDone) -> None:
        """Append an epoch."""
        self.begin()
        values = asdict(done)
        del values["epochs"]
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(values, allow_nan=False) + "\n")
        self.train_loss = done.train_loss


def _read(path: Path) -> list[tuple[str, PastEpoch]]:
    """Each line, and what it says."""
    lines: list[tuple[str, PastEpoch]] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            lines.append((line, _past(values)))
    except (OSError, ValueError):
        # Missing, or cut off where a process died: it is a record, not a state, and a run goes on without it.
        pass
    except (KeyError, TypeError, OverflowError, RecursionError):
        raise IntegrityError(
            f"Line {len(lines) + 1} of {path} is not what a run writes of an epoch: "
            "remove the file, and the run goes on without it."
        ) from None
    return [(line, past) for line, past in lines if isfinite(past.train_loss)]


def _past(values: dict[str, Any]) -> PastEpoch:
    return PastEpoch(
        epoch=int(values["epoch"]),
        phase=str(values.get("phase")),
        train_loss=float(values["train_loss"]),
        held_out_loss=float(values.get("held_out_loss", nan)),
    )
