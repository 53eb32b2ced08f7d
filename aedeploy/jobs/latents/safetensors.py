"""Latents as safetensors: latents-00000.safetensors, one tensor an output.

The metadata has ``{"contract": …, "paths": […], "sha256": {…}}`` as JSON under ``aedeploy``; the checksums are of the
tensors' bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.jobs.latents.contract import KEY, LatentsContract, check_array, index_of, new_index

_DTYPES = {"F32": "float32", "F16": "float16"}

# How many bytes of a tensor are in memory while its checksum is made.
_BLOCK_BYTES = 4 * 2**20


def files(number: int, outputs: Iterable[str]) -> tuple[str, ...]:
    return (f"latents-{number:05d}.safetensors",)


def contents(
    contract: LatentsContract, paths: Sequence[str], outputs: Mapping[str, np.ndarray]
) -> Iterator[bytes | memoryview]:
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(array) for name, array in outputs.items()}
    digests = {name: hashlib.sha256(array.data).hexdigest() for name, array in tensors.items()}
    # One key: safetensors writes several in an order that changes from run to run.
    yield save(tensors, {KEY: new_index(contract, paths, digests).text()})


class Opened:
    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        opened: Any = safe_open(path, "numpy")
        self._index = index_of((opened.metadata() or {}).get(KEY, '{"paths": []}'), path)
        self.contract = self._index.contract
        self._slice = opened.get_slice("latent")
        dtype = _DTYPES.get(self._slice.get_dtype(), self._slice.get_dtype())
        check_array(path, self._slice.get_shape(), dtype, self.contract, len(self._index.paths))

    def paths(self) -> Sequence[Any]:
        rows = len(self._index.paths)
        step = max(1, _BLOCK_BYTES // (4 * int(np.prod(self.contract.shapes["latent"]))))
        digest = hashlib.sha256()
        for start in range(0, rows, step):
            digest.update(np.ascontiguousarray(self._slice[start : min(start + step, rows)]).data)
        self._index.check("latent", digest.hexdigest())
        return self._index.checked_paths()

    def latents(self, start: int, stop: int) -> np.ndarray:
        return np.array(self._slice[start:stop], np.float32)
