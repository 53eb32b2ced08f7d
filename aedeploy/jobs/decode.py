"""The job ``decode``: the rows of latents files to images, into the tree that their paths make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aedeploy.bundle.manifest import Role
from aedeploy.jobs.chunk import Chunk, Row, finite_rows
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.latents import read_rows
from aedeploy.jobs.sinks import Sink
from aedeploy.jobs.sinks.open import SHARD_IMAGES, open_image_sink
from aedeploy.jobs.spec import Member, Settings, Source, StageSeconds
from aedeploy.jobs.stages import timed
from aedeploy.runtime.codec import Codec, pixels_of

ROLE: Role = "decoder"


class Work:
    """See jobs/shard.py. The sources of a chunk are rows of one file, in their order."""

    shard_images = SHARD_IMAGES

    def __init__(self, settings: Settings, codec: Codec) -> None:
        codec.require_latent()
        self._root = settings.origin.location
        self._codec = codec
        self.sink: Sink = open_image_sink(settings)

    def chunk(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
        first = sources[0].row
        with timed(seconds, "read"):
            rows = read_rows(Path(self._root, sources[0].file), first, sources[-1].row + 1)
        latent = rows[[source.row - first for source in sources]]
        chunk = Chunk(
            members=[Member(path=source.path, bytes=source.bytes, stamp=source.stamp, digest="") for source in sources],
            rows=[Row(source=source) for source in sources],
            arrays={"latent": latent},
        )
        chunk.keep(finite_rows(latent), "its latent has NaN or infinity")
        if not chunk.rows:
            return chunk
        with timed(seconds, "infer"):
            (image,) = self._codec.run(ROLE, chunk.arrays.pop("latent")).values()
            chunk.arrays["image"] = image
            chunk.keep(finite_rows(image), "the model gave NaN or infinity")
            for row, pixels in zip(chunk.rows, pixels_of(chunk.arrays.pop("image")), strict=True):
                row.image = pixels
        with timed(seconds, "write"):
            self.sink.write(chunk)
        return chunk
