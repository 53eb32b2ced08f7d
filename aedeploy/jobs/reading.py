"""The images of a chunk, from wherever they are to pixels."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from aedeploy.errors import ImageError
from aedeploy.images.geometry import Geometry, restored_alpha
from aedeploy.images.read import Picture, read_picture
from aedeploy.jobs.chunk import Chunk, Row
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.sources import Contents
from aedeploy.jobs.spec import Failure, Member, Reading, Source, StageSeconds

_DIGEST_CHARACTERS = 16


class ChunkReader:
    """What every chunk of a job is read with. Used by many threads, each with contents of its own."""

    def __init__(
        self, reading: Reading, geometry: Geometry, *, deep: bool = False, alpha: bool = False, own_mode: bool = False
    ) -> None:
        """``own_mode``: images come grey or in colours as their files have them, and not as the geometry says."""
        self._reading = reading
        self._geometry = geometry
        self._deep = deep
        self._alpha = alpha
        self._mode = None if own_mode else geometry.mode

    def read(self, contents: Contents, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
        """Read images into the frame of the model: ``pixels`` uint8 [n, H, W, C], or uint16 if one has 16 bits.

        An image that cannot be read is a failure of its own; the others keep their order.
        """
        chunk, placed = self._begin(contents, sources, gate, seconds, self._place)
        if any(pixels.dtype == np.uint16 for pixels in placed):
            placed = [pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * 257 for pixels in placed]
        if placed:
            chunk.arrays = {"pixels": np.stack(placed)}
        return chunk

    def read_whole(
        self, contents: Contents, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds, most_pixels: int
    ) -> tuple[Chunk, list[np.ndarray]]:
        """Read images at their own sizes: uint8 or uint16 [H, W, C] each, beside the chunk's rows.

        The chunk ends with the one that brings them to ``most_pixels``: its members are those that were read.
        """
        return self._begin(contents, sources, gate, seconds, self._whole, most_pixels)

    def _begin(
        self,
        contents: Contents,
        sources: Sequence[Source],
        gate: ReadingGate,
        seconds: StageSeconds,
        finish: Callable[[Row, Picture], np.ndarray],
        most_pixels: float = math.inf,
    ) -> tuple[Chunk, list[np.ndarray]]:
        chunk, placed = Chunk(members=[], rows=[]), list[np.ndarray]()
        read, held = 0.0, 0
        with gate.reading(len(sources)):
            began = time.perf_counter()
            for source in sources:
                digest = ""
                try:
                    start = time.perf_counter()
                    content = contents.read(source)
                    digest = digest_of(content)
                    read += time.perf_counter() - start
                    row = Row(source=source)
                    pixels = finish(row, self._picture(source, content))
                    placed.append(pixels)
                    chunk.rows.append(row)
                    held += pixels.shape[0] * pixels.shape[1]
                except ImageError as error:
                    chunk.failures.append(Failure(path=source.path, reason=str(error)))
                chunk.members.append(Member(path=source.path, bytes=source.bytes, stamp=source.stamp, digest=digest))
                if held >= most_pixels:
                    break
            total = time.perf_counter() - began
        seconds["read"] = seconds.get("read", 0.0) + read
        seconds["decode"] = seconds.get("decode", 0.0) + total - read
        return chunk, placed

    def _picture(self, source: Source, content: bytes | Path) -> Picture:
        scaled = (self._geometry.width, self._geometry.height) if self._reading.decode == "scaled" else None
        return read_picture(
            content,
            self._mode,
            max_pixels=self._reading.max_pixels,
            scaled_to=scaled,
            deep=self._deep,
            alpha=self._alpha,
            name=source.path,
        )

    def _place(self, row: Row, picture: Picture) -> np.ndarray:
        pixels, row.placement = self._geometry.place(picture)
        self._remember(row, picture)
        return pixels

    def _whole(self, row: Row, picture: Picture) -> np.ndarray:
        self._remember(row, picture)
        pixels = np.asarray(picture.image)
        return pixels.reshape(pixels.shape[0], pixels.shape[1], -1)

    def _remember(self, row: Row, picture: Picture) -> None:
        row.depth = picture.depth
        if picture.alpha is not None:
            alpha = np.asarray(picture.alpha)
            row.alpha = alpha if row.placement is None else restored_alpha(alpha, row.placement)
        if picture.scaled:
            row.notes["aedeploy.decode"] = "scaled"
        if row.placement is not None and self._geometry.resize != "exact":
            row.notes["aedeploy.resize"] = self._geometry.resize


def digest_of(content: bytes | Path) -> str:
    """The first 64 bits of the content's SHA-256: enough to see that it is another."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]
    try:
        with open(content, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:_DIGEST_CHARACTERS]
    except OSError as error:
        raise ImageError(f"it cannot be read: {error.strerror or error}") from None
