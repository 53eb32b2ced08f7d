"""The job ``reconstruct``: every image through the whole autoencoder, to an image again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aedeploy.bundle.manifest import Role
from aedeploy.images.geometry import restored
from aedeploy.images.pixels import to_bytes, to_words
from aedeploy.jobs.chunk import Chunk, Row, finite_rows
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.reading import ChunkReader
from aedeploy.jobs.sinks import Sink
from aedeploy.jobs.sinks.open import SHARD_IMAGES, open_image_sink
from aedeploy.jobs.sources import ThreadContents
from aedeploy.jobs.spec import Settings, Source, StageSeconds
from aedeploy.jobs.stages import timed
from aedeploy.runtime.codec import Codec, image_geometry

if TYPE_CHECKING:
    from aedeploy.runtime.full_size import FullSize

ROLE: Role = "autoencoder"

_NOT_FINITE = "the model gave NaN or infinity"


def _full_size(settings: Settings, codec: Codec) -> FullSize:
    from aedeploy.runtime.full_size import FullSize

    return FullSize(codec, tile=settings.tile)


class Work:
    """See jobs/shard.py."""

    shard_images = SHARD_IMAGES

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self._contents = ThreadContents(settings.origin)
        images = settings.images
        self._reader = ChunkReader(
            settings.reading,
            image_geometry(codec.bundle, settings.reading.resize),
            deep=images.supports_depth16 and codec.engine.pixels == "float32",
            alpha=images.supports_alpha and settings.size == "original",
        )
        self._full = _full_size(settings, codec) if settings.any_size else None
        self.sink: Sink = open_image_sink(settings)

    def chunk(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
        chunk = self._any_size(sources, gate, seconds) if self._full else self._own_size(sources, gate, seconds)
        with timed(seconds, "write"):
            self.sink.write(chunk)
        return chunk

    def _own_size(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
        """Through the size that the model has, and back to each image's own."""
        chunk = self._reader.read(self._contents.get(), sources, gate, seconds)
        if not chunk.rows:
            return chunk
        with timed(seconds, "infer"):
            (image,) = self._codec.run(ROLE, chunk.arrays.pop("pixels")).values()
            chunk.arrays["image"] = image
            chunk.keep(finite_rows(image), _NOT_FINITE)
        with timed(seconds, "write"):
            images = chunk.arrays.pop("image")
            for row, values in zip(chunk.rows, images, strict=True):
                self._finish(row, values if values.dtype == np.uint8 else values.transpose(1, 2, 0))
        return chunk

    def _any_size(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
        """Each image at its own size."""
        assert self._full is not None
        chunk, pictures = self._reader.read_whole(self._contents.get(), sources, gate, seconds)
        finite = []
        for number, row in enumerate(chunk.rows):
            with timed(seconds, "infer"):
                values = self._full.reconstruct(pictures[number])
                pictures[number] = values[:0]
            finite.append(bool(np.isfinite(values).all()))
            if finite[-1]:
                with timed(seconds, "write"):
                    self._finish(row, values)
        chunk.keep(finite, _NOT_FINITE)
        return chunk

    def _finish(self, row: Row, values: np.ndarray) -> None:
        """From what a graph gave of one image, float32 in [0, 1] or uint8 [H, W, C], to what is written."""
        if values.dtype != np.uint8:
            floats = values.transpose(2, 0, 1)[None]
            values = (to_words(floats) if row.depth == 16 else to_bytes(floats))[0]
        if row.placement is not None and self._settings.size == "original":
            values = restored(values, row.placement)
        row.image = values
