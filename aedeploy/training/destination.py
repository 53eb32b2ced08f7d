"""The folder that a run writes into."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aedeploy.bundle.locate import ARTIFACTS
from aedeploy.bundle.store import CHECKPOINT_FILE, HISTORY_FILE, MANIFEST_FILE, PARITY_FILE
from aedeploy.errors import ConfigError
from aedeploy.files import PARTIAL_SUFFIX, locked

_GRAPHS = "graphs"
_LOCK = ".lock"
_OF_A_RUN = (MANIFEST_FILE, CHECKPOINT_FILE, HISTORY_FILE)


def default_destination(data_name: str, variant: str, *, resume: bool = False) -> Path:
    """``artifacts/<data>-<variant>``, to be numbered where that is taken; to resume, the newest run of those numbers.

    Raises:
        ConfigError: ``resume``, and there is no such run.
    """
    stem = re.sub(r"[^\w.-]+", "-", f"{data_name}-{variant}").strip("-.").lower() or "model"
    if not resume:
        return ARTIFACTS / stem
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


def check_destination(out: Path, *, resume: bool, overwrite: bool, numbered: bool = False) -> None:
    """Refuse a folder that cannot be written, or that holds what nobody asked to replace; nothing is changed.

    Raises:
        ConfigError: as above.
    """
    if resume and overwrite:
        raise ConfigError("--resume goes on with what is there and --overwrite replaces it: give one of them.")
    if not numbered:
        _check_content(out, resume=resume, overwrite=overwrite)
    parents = out.absolute().parents
    existing = next(folder for folder in (parents if numbered else (out, *parents)) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {out}: {existing} cannot be written to: name another folder.")


def _check_content(out: Path, *, resume: bool, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file: name a folder.")
    if resume and not (out / CHECKPOINT_FILE).is_file():
        raise ConfigError(f"--resume: there is no {CHECKPOINT_FILE} in {out}: leave --resume out to begin there.")
    # A lock, or a file half written, is also in a folder whose run was killed before it had written anything.
    taken = out.is_dir() and any(entry.name != _LOCK and entry.suffix != PARTIAL_SUFFIX for entry in out.iterdir())
    if taken and not resume and not overwrite:
        raise ConfigError(
            f"{out} is there already: give --resume to go on with it, --overwrite to replace it, or another --out."
        )
    if taken and overwrite and not any((out / name).is_file() for name in _OF_A_RUN):
        raise ConfigError(
            f"--overwrite replaces a bundle, and {out} holds something else: name another folder with --out."
        )


@contextmanager
def claim(out: Path, *, resume: bool, overwrite: bool, numbered: bool) -> Iterator[Path]:
    """Make a run's folder and keep other runs out of it while the block runs; where nothing was written, it goes again.

    Raises:
        ConfigError: as :func:`check_destination`; another run has come and gone since.
        BusyError: another run is in it.
    """
    folder = _next_of(out) if numbered else out
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"Another run is writing into {folder}: wait until it has ended, or name another folder with --out."
    with locked(folder / _LOCK, busy):
        check_destination(folder, resume=resume, overwrite=overwrite)
        try:
            yield folder
        finally:
            (folder / _LOCK).unlink(missing_ok=True)
            with suppress(OSError):  # a run that has written something
                folder.rmdir()


def _next_of(out: Path) -> Path:
    """Make the first of ``out``, ``out-2``, ``out-3``… that is not there: of two runs at once, each gets its own."""
    folder, number = out, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = out.with_name(f"{out.name}-{number}")


def drop_exports(out: Path) -> None:
    """Remove what was exported from weights that are no longer the bundle's."""
    (out / PARITY_FILE).unlink(missing_ok=True)
    shutil.rmtree(out / _GRAPHS, ignore_errors=True)
