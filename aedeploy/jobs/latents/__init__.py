"""Latents as files. Every format holds the rows' paths, all outputs of the encoder, and whose latents they are.

A format is a module: ``files(number, outputs)`` are the names that file ``number`` of such outputs has, last the one
that decode reads; ``write(files, contract, paths, outputs)`` writes them; ``Opened(path)`` reads them back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.errors import ConfigError
from aedeploy.files import write_bytes
from aedeploy.jobs.latents import npy, parquet, safetensors, tar
from aedeploy.jobs.latents.contract import LatentsContract, LatentsFile
from aedeploy.jobs.spec import LatentFormat

__all__ = [
    "LatentsContract",
    "LatentsFile",
    "is_latents",
    "latents_files",
    "open_latents",
    "read_paths",
    "read_rows",
    "write_latents",
]

_FORMATS = {"parquet": parquet, "npy": npy, "safetensors": safetensors, "tar": tar}
_OPENERS: dict[str, Callable[[Path], LatentsFile]] = {
    ".parquet": parquet.Opened,
    ".json": npy.Opened,
    ".npy": lambda path: npy.Opened(path.with_suffix(".json")),
    ".safetensors": safetensors.Opened,
    ".tar": tar.Opened,
}


def latents_files(format: LatentFormat, number: int, outputs: Iterable[str]) -> tuple[str, ...]:
    """The names of all files that :func:`write_latents` writes as file ``number``; last the one that decode reads."""
    names: tuple[str, ...] = _FORMATS[format].files(number, outputs)
    return names


def write_latents(
    folder: Path,
    number: int,
    format: LatentFormat,
    contract: LatentsContract,
    paths: Sequence[str],
    outputs: Mapping[str, np.ndarray],
    *,
    scratch: Path | None = None,
) -> Path:
    """Write rows [N, …] of every output as file ``number``, atomically, and give the file that decode reads.

    The floats among them are of the contract's dtype. Of ``scratch`` see :func:`aedeploy.files.replacing`.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    files = [folder / name for name in latents_files(format, number, outputs)]
    # One after the other, the one that decode reads last: where it is, the others are.
    for file, content in zip(files, _FORMATS[format].contents(contract, paths, outputs), strict=True):
        write_bytes(file, content, scratch=scratch)
    return files[-1]


def is_latents(name: str) -> bool:
    """Whether a file is one that :func:`open_latents` opens, by its name. A .npy is found through its index."""
    if name.endswith((".json", ".tar")):  # which much else is
        return name.startswith("latent-" if name.endswith(".json") else "latents-")
    return name.endswith((".parquet", ".safetensors"))


def open_latents(path: Path) -> LatentsFile:
    """Open a file that ``encode`` wrote, of any format.

    Raises:
        ConfigError: it is of no known format, cannot be read, or has no aedeploy contract.
    """
    opener = _OPENERS.get(path.suffix)
    if opener is None:
        raise ConfigError(f"{path} holds no latents by its name: known are {', '.join(_OPENERS)}.")
    with _told(path):
        return opener(path)


def read_paths(path: Path) -> tuple[LatentsContract, Sequence[Any]]:
    """Whose latents a file holds, and the path of every row, from a file that is whole.

    Raises:
        ConfigError: as :func:`open_latents`, or something in it is damaged.
    """
    opened = open_latents(path)
    with _told(path):
        return opened.contract, opened.paths()


def read_rows(path: Path, start: int, stop: int) -> np.ndarray:
    """Rows [start, stop) of a file as float32 [rows, *shape]; a missing row is NaN.

    Raises:
        ConfigError: as :func:`read_paths`.
    """
    opened = open_latents(path)
    with _told(path):
        return opened.latents(start, stop)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with a file."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # pyarrow, safetensors, numpy and json raise errors of their own for a broken file
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as latents ({reason}): encode the images again.") from None
