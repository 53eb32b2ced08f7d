"""The job ``reconstruct``: every image through the whole autoencoder, into a mirrored tree of PNGs."""

from __future__ import annotations

from collections.abc import Sequence

from aedeploy.bundle.manifest import Role
from aedeploy.jobs.chunk import Chunk, read_chunk
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.spec import Output, Settings, Source
from aedeploy.jobs.tree import SHARD_IMAGES, sync_images, write_images
from aedeploy.runtime.codec import Codec

ROLE: Role = "autoencoder"


class Work:
    """See jobs/shard.py."""

    shard_images = SHARD_IMAGES

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec

    def files(self, number: int) -> tuple[str, ...]:
        return ()

    def chunk(self, sources: Sequence[Source], gate: ReadingGate) -> Chunk:
        with gate.reading(len(sources)):
            chunk = read_chunk(self._settings, self._codec.geometry, sources)
        if chunk.ok:
            (image,) = self._codec.run(ROLE, chunk.arrays.pop("pixels")).values()
            chunk.arrays["image"] = image
            write_images(self._settings, chunk)
        return chunk

    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]:
        sync_images(self._settings, chunks)
        return ()
