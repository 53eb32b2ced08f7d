"""The folder that a run writes into."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from aedeploy.bundle.locate import ARTIFACTS
from aedeploy.bundle.store import (
    CARD_FILE,
    GOLDEN_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    PARITY_FILE,
    WEIGHTS_FILE,
)
from aedeploy.errors import ConfigError
from aedeploy.training.checkpoint import CHECKPOINT_FILE

# The manifest first: without it the rest is no bundle, whatever of it is left when a deletion is cut short.
_FILES = (MANIFEST_FILE, PARITY_FILE, GOLDEN_FILE, CARD_FILE, HISTORY_FILE, CHECKPOINT_FILE, WEIGHTS_FILE)
_GRAPHS = "graphs"


def default_destination(data_name: str, variant: str, *, resume: bool = False) -> Path:
    """``artifacts/<data>-<variant>``, numbered where that is taken; the newest unfinished or finished run to resume.

    Raises:
        ConfigError: ``resume``, and there is no such run.
    """
    stem = re.sub(r"[^\w.-]+", "-", f"{data_name}-{variant}").strip("-.").lower() or "model"
    if not resume:
        number = 1
        while (folder := ARTIFACTS / (stem if number == 1 else f"{stem}-{number}")).exists():
            number += 1
        return folder
    runs = [
        checkpoint
        for checkpoint in ARTIFACTS.glob(f"{stem}*/{CHECKPOINT_FILE}")
        if re.fullmatch(r"(-\d+)?", checkpoint.parent.name.removeprefix(stem))
    ]
    if not runs:
        raise ConfigError(
            f"There is no run {stem} to resume in {ARTIFACTS}/: leave --resume out, or name one with --out."
        )
    return max(runs, key=lambda path: path.stat().st_mtime).parent


def check_destination(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that cannot be written, or that holds what nobody asked to replace; nothing is changed.

    Raises:
        ConfigError: as above.
    """
    if resume and overwrite:
        raise ConfigError("--resume goes on with what is there and --overwrite replaces it: give one of them.")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file: name a folder.")
    if resume and not (out / CHECKPOINT_FILE).is_file():
        raise ConfigError(f"--resume: there is no {CHECKPOINT_FILE} in {out}: leave --resume out to begin there.")
    taken = out.is_dir() and any(out.iterdir())
    if taken and not resume and not overwrite:
        raise ConfigError(
            f"{out} is there already: give --resume to go on with it, --overwrite to replace it, or another --out."
        )
    if taken and overwrite and not any((out / name).is_file() for name in (MANIFEST_FILE, CHECKPOINT_FILE)):
        raise ConfigError(
            f"--overwrite replaces a bundle, and {out} holds something else: name another folder with --out."
        )
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {out}: {existing} cannot be written to: name another folder.")


def clear(out: Path) -> None:
    """Remove the bundle in a folder, and nothing else that may lie there."""
    for name in _FILES:
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / _GRAPHS, ignore_errors=True)


def drop_exports(out: Path) -> None:
    """Remove what was exported from weights that are no longer the bundle's."""
    (out / PARITY_FILE).unlink(missing_ok=True)
    shutil.rmtree(out / _GRAPHS, ignore_errors=True)
