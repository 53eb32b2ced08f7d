"""Latents as .npy: latent-00000.npy, logvar-00000.npy, …, and latent-00000.json.

The index has ``{"contract": …, "paths": […], "sha256": {…}}``: of each .npy file under its output's name.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.files import sha256_of
from aedeploy.jobs.latents.contract import LatentsContract, check_array, index_of, new_index


def files(number: int, outputs: Iterable[str]) -> tuple[str, ...]:
    return (*(f"{name}-{number:05d}.npy" for name in outputs), f"latent-{number:05d}.json")


def contents(
    contract: LatentsContract, paths: Sequence[str], outputs: Mapping[str, np.ndarray]
) -> Iterator[bytes | memoryview]:
    digests = {}
    for name, array in outputs.items():
        stream = io.BytesIO()
        np.save(stream, array)
        digests[name] = hashlib.sha256(stream.getbuffer()).hexdigest()
        yield stream.getbuffer()
    # The index last: where it is, the arrays are.
    yield (new_index(contract, paths, digests).text() + "\n").encode()


class Opened:
    """A .npy file beside its index."""

    def __init__(self, path: Path) -> None:
        self._index = index_of(path.read_bytes(), path)
        self.contract = self._index.contract
        self._file = path.with_suffix(".npy")
        self._array = np.load(self._file, mmap_mode="r", allow_pickle=False)
        check_array(path, self._array.shape, str(self._array.dtype), self.contract, len(self._index.paths))

    def paths(self) -> Sequence[Any]:
        self._index.check("latent", sha256_of(self._file))
        return self._index.checked_paths()

    def latents(self, start: int, stop: int) -> np.ndarray:
        return np.array(self._array[start:stop], np.float32)
