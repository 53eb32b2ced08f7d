"""Whose latents a file holds, and what every format of them can do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from aedeploy.errors import ConfigError

#: 1: float32 alone, checksums in Parquet alone. 2: ``dtype``, ``reading``, checksums in all formats, tar.
VERSION = 2

#: Where a file of somebody else's format keeps what is ours.
KEY = "aedeploy"

_DTYPES = ("float32", "float16")


@dataclass(frozen=True, kw_only=True)
class LatentsContract:
    """Whose latents a file holds."""

    bundle: str
    bundle_digest: str
    graph_format: str | None  # of the encoder that made them; None: the weights themselves
    shapes: Mapping[str, Sequence[int]]  # of one row, by output; ``latent`` is what a decoder takes
    dtype: str = "float32"  # of all outputs that are floats: float32 or float16
    reading: Mapping[str, str] | None = None  # how the images became pixels: ``decode`` and ``resize``
    version: int = VERSION


class LatentsFile(Protocol):
    """An opened file of latents."""

    contract: LatentsContract

    def paths(self) -> Sequence[Any]:
        """The path of every row; whether they are paths is for the caller to check. Reads all that has checksums."""
        ...

    def latents(self, start: int, stop: int) -> np.ndarray:
        """Rows [start, stop) as float32 [rows, *shape], whatever the file has; a missing row is NaN."""
        ...


def contract_of(values: Mapping[str, Any] | None, path: Path) -> LatentsContract:
    """The contract that a file has.

    Raises:
        ConfigError: it has none, or one that only a newer release understands.
    """
    if not values:
        raise ConfigError(f"{path} does not say which bundle made it: decode reads what  aedeploy encode  wrote.")
    if values.get("kind", "latents") != "latents":
        raise ConfigError(f"{path} holds {values['kind']}, not latents: decode reads what  aedeploy encode  wrote.")
    if values["version"] > VERSION:
        raise ConfigError(f"{path} was written by a newer release of aedeploy: upgrade.")
    return LatentsContract(**values)


def check_array(path: Path, shape: Iterable[int], dtype: str, contract: LatentsContract, rows: int) -> None:
    """Refuse an array that is not as its contract says.

    Raises:
        ConfigError: it is not.
    """
    expected = [rows, *contract.shapes["latent"]]
    if contract.dtype not in _DTYPES or dtype != contract.dtype or list(shape) != expected:
        raise ConfigError(
            f"{path} has latents {dtype} {list(shape)}, and its contract says {contract.dtype} {expected}: "
            "encode the images again."
        )


@dataclass(frozen=True, kw_only=True)
class Index:
    """What a format without columns of its own keeps as JSON: the contract, the paths, and the checksums of both them
    and the arrays.
    """

    contract: LatentsContract
    paths: Sequence[Any]
    sha256: Mapping[str, str]  # of ``paths``, and of each output by its name; empty in version 1
    offsets: Sequence[int] = ()  # tar alone

    def text(self) -> str:
        values = {"contract": asdict(self.contract), "paths": list(self.paths), "sha256": dict(self.sha256)}
        return json.dumps(values | ({"offsets": list(self.offsets)} if self.offsets else {}), ensure_ascii=False)

    def check(self, name: str, sha256: str) -> None:
        """Refuse what is not as it was written; files of version 1 have nothing to compare with.

        Raises:
            ValueError: it is not.
        """
        if self.contract.version > 1 and self.sha256[name] != sha256:
            raise ValueError(f"the checksum of its {name} is wrong")

    def checked_paths(self) -> Sequence[Any]:
        """The paths, compared with their checksum; ValueError as :meth:`check`."""
        self.check("paths", paths_sha256(self.paths))
        return self.paths


def new_index(
    contract: LatentsContract, paths: Sequence[str], sha256: Mapping[str, str], offsets: Sequence[int] = ()
) -> Index:
    """An index of rows that were just made, with the checksum of its paths."""
    return Index(contract=contract, paths=paths, sha256={"paths": paths_sha256(paths), **sha256}, offsets=offsets)


def index_of(text: str | bytes, path: Path) -> Index:
    """Read an index back; ConfigError as :func:`contract_of`."""
    values = json.loads(text)
    return Index(
        contract=contract_of(values.get("contract"), path),
        paths=values["paths"],
        sha256=values.get("sha256", {}),
        offsets=values.get("offsets", ()),
    )


def paths_sha256(paths: Sequence[Any]) -> str:
    """The SHA-256 of paths as JSON, in hexadecimal."""
    return hashlib.sha256(json.dumps(list(paths)).encode()).hexdigest()
