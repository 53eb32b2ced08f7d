"""Latents: one file of them a shard, or one for each output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aedeploy.jobs.chunk import Chunk, finite_rows, joined
from aedeploy.jobs.latents import LatentsContract, latents_files, write_latents
from aedeploy.jobs.outputs import scratch_of
from aedeploy.jobs.spec import Output, Settings

_LARGEST = float(np.finfo(np.float16).max)


class LatentsSink:
    """See jobs/sinks/__init__.py. Of ``arrays``, what the contract has shapes for is written."""

    def __init__(self, settings: Settings, contract: LatentsContract) -> None:
        self._settings = settings
        self._contract = replace(contract, dtype=settings.latent_dtype)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what is written of each row."""
        return tuple(self._contract.shapes)

    def files(self, number: int) -> tuple[str, ...]:
        return latents_files(self._settings.latent_format, number, self.outputs)

    def write(self, chunk: Chunk) -> None:
        """Bring the outputs to their dtype, and let all other arrays go. A row whose floats it cannot hold fails."""
        if not chunk.rows:
            chunk.arrays = {}
            return
        chunk.arrays = {name: chunk.arrays[name] for name in self._contract.shapes}
        if self._settings.latent_dtype == "float32":
            return
        floats = [name for name, array in chunk.arrays.items() if array.dtype == np.float32]
        with np.errstate(over="ignore", under="ignore"):  # the first is looked at; the second is rounding
            chunk.arrays |= {name: chunk.arrays[name].astype(np.float16) for name in floats}
        for name in floats:
            reason = f"its {name} goes beyond {_LARGEST:.0f}, the largest float16: --dtype float32 holds it"
            chunk.keep(finite_rows(chunk.arrays[name]), reason)

    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]:
        paths, outputs = joined(chunks)
        if not paths:
            return ()
        folder = Path(self._settings.output)
        format, scratch = self._settings.latent_format, scratch_of(self._settings)
        write_latents(folder, number, format, self._contract, paths, outputs, scratch=scratch)
        return tuple(Output(file=name, bytes=(folder / name).stat().st_size) for name in self.files(number))
