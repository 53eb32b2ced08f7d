"""The job ``encode``: images to latents, one file of latents a shard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aedeploy.bundle.manifest import Role
from aedeploy.jobs.chunk import Chunk, finite_rows, read_chunk
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.latents import LatentsContract, latents_files, write_latents
from aedeploy.jobs.spec import Output, Settings, Source
from aedeploy.runtime.codec import Codec

ROLE: Role = "encoder"

# What the latents of one shard may take in memory, and how many images at most are lost when a job is killed.
_SHARD_BYTES = 64 * 2**20
_SHARD_IMAGES = 4096


class Work:
    """See jobs/shard.py."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        # Of no image: the shapes alone.
        outputs = codec.encode_all([])
        self._contract = LatentsContract(
            bundle=codec.bundle.name,
            bundle_digest=codec.bundle.manifest.digest,
            graph_format=codec.graph_format,
            shapes={name: list(array.shape[1:]) for name, array in outputs.items()},
        )
        row = sum(int(np.prod(array.shape[1:])) * array.itemsize for array in outputs.values())
        self.shard_images = max(1, min(_SHARD_IMAGES, _SHARD_BYTES // row))

    def files(self, number: int) -> tuple[str, ...]:
        return latents_files(self._settings.latent_format, number, self._contract.shapes)

    def chunk(self, sources: Sequence[Source], gate: ReadingGate) -> Chunk:
        with gate.reading(len(sources)):
            chunk = read_chunk(self._settings, self._codec.geometry, sources)
        if not chunk.ok:
            return chunk
        chunk.arrays = self._codec.run(ROLE, chunk.arrays["pixels"])
        for name in list(chunk.arrays):
            chunk.keep(finite_rows(chunk.arrays[name]), f"the encoder gave NaN or infinity in {name!r}")
        return chunk

    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]:
        full = [chunk for chunk in chunks if chunk.ok]
        if not full:
            return ()
        folder = Path(self._settings.output)
        outputs = {name: np.concatenate([chunk.arrays[name] for chunk in full]) for name in full[0].arrays}
        paths = [source.path for chunk in full for source in chunk.ok]
        write_latents(folder, number, self._settings.latent_format, self._contract, paths, outputs)
        return tuple(Output(file=name, bytes=(folder / name).stat().st_size) for name in self.files(number))
