"""The job ``encode``: images to latents, one file of latents a shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from aedeploy.bundle.manifest import Role
from aedeploy.jobs.chunk import Chunk, finite_rows
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.latents import LatentsContract
from aedeploy.jobs.noise import run_told, tell_noise
from aedeploy.jobs.reading import ChunkReader
from aedeploy.jobs.sinks.latents import LatentsSink
from aedeploy.jobs.sources import ThreadContents
from aedeploy.jobs.spec import Settings, Source, StageSeconds
from aedeploy.jobs.stages import timed
from aedeploy.runtime.codec import Codec, image_geometry

ROLE: Role = "encoder"

# What the latents of one shard may take in memory, and how many images at most are lost when a job is killed.
_SHARD_BYTES = 64 * 2**20
_SHARD_IMAGES = 4096


class Work:
    """See jobs/shard.py."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._codec = codec
        self._contents = ThreadContents(settings.origin)
        geometry = image_geometry(codec.bundle, settings.reading.resize)
        self._reader = ChunkReader(settings.reading, geometry, deep=codec.engine.pixels == "float32")
        # Of no image: the shapes alone.
        outputs = codec.encode_all([])
        contract = LatentsContract(
            bundle=codec.bundle.name,
            bundle_digest=codec.bundle.manifest.digest,
            graph_format=codec.graph_format,
            shapes={name: list(array.shape[1:]) for name, array in outputs.items()},
            reading={key: asdict(settings.reading)[key] for key in ("decode", "resize")},
        )
        self.sink = LatentsSink(settings, contract)
        row = sum(int(np.prod(array.shape[1:])) * array.itemsize for array in outputs.values())
        self.shard_images = max(1, min(_SHARD_IMAGES, _SHARD_BYTES // row))

    def chunk(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
        chunk = self._reader.read(self._contents.get(), sources, gate, seconds)
        if not chunk.rows:
            return chunk
        with timed(seconds, "infer"):
            pixels = chunk.arrays["pixels"]
            tell_noise(self._codec, chunk.rows, pixels)
            chunk.arrays = run_told(self._codec, ROLE, chunk.rows, pixels)
            for name in list(chunk.arrays):
                chunk.keep(finite_rows(chunk.arrays[name]), f"the encoder gave NaN or infinity in {name!r}")
        with timed(seconds, "write"):
            self.sink.write(chunk)
        return chunk
