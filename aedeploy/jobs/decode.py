"""The job ``decode``: the rows of latents files to images, into the tree that their paths make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aedeploy.bundle.manifest import Role
from aedeploy.jobs.chunk import Chunk, finite_rows
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.latents import read_rows
from aedeploy.jobs.spec import Output, Settings, Source
from aedeploy.jobs.tree import SHARD_IMAGES, sync_images, write_images
from aedeploy.runtime.codec import Codec

ROLE: Role = "decoder"


class Work:
    """See jobs/shard.py. The sources of a chunk are rows of one file, in their order."""

    shard_images = SHARD_IMAGES

    def __init__(self, settings: Settings, codec: Codec) -> None:
        codec.require_latent()
        self._settings = settings
        self._codec = codec

    def files(self, number: int) -> tuple[str, ...]:
        return ()

    def chunk(self, sources: Sequence[Source], gate: ReadingGate) -> Chunk:
        first = sources[0].row
        rows = read_rows(Path(self._settings.root, sources[0].file), first, sources[-1].row + 1)
        latent = rows[[source.row - first for source in sources]]
        chunk = Chunk(processed=sources, ok=list(sources), arrays={"latent": latent})
        chunk.keep(finite_rows(latent), "its latent has NaN or infinity")
        if chunk.ok:
            (image,) = self._codec.run(ROLE, chunk.arrays.pop("latent")).values()
            chunk.arrays["image"] = image
            write_images(self._settings, chunk)
        return chunk

    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]:
        sync_images(self._settings, chunks)
        return ()
