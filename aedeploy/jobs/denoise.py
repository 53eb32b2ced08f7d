"""The job ``denoise``: ``reconstruct``, by a model that was trained to give clean images back.

``--strength`` mixes what the model gives with what it was given, before either is rounded; ``--compare`` puts both side
by side. Both are what went into the graph and came out of it: of a model of one size, the image at that size.

With a second model, ``settings.grey``, images of one channel go through that one, and all others through the job's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from aedeploy.images.pixels import to_floats
from aedeploy.images.strength import mixed
from aedeploy.jobs import reconstruct
from aedeploy.jobs.chunk import Row
from aedeploy.jobs.opening import open_codec
from aedeploy.jobs.spec import Denoising, Settings
from aedeploy.runtime.codec import Codec

ROLE = reconstruct.ROLE


class Work(reconstruct.Work):
    """See jobs/shard.py."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        codec.require_denoising()
        grey = None
        if settings.grey is not None:
            grey = open_codec(settings, settings.grey.bundle, settings.grey.bundle_digest)
            grey.require_denoising()
            grey.open(ROLE)
        self._denoising = settings.denoising or Denoising()
        super().__init__(settings, codec, grey)

    def _finished(self, rows: Sequence[Row], pixels: np.ndarray, made: np.ndarray) -> Iterator[np.ndarray]:
        if self._denoising.strength < 1.0:
            made = mixed(pixels, made, self._denoising.strength)
        after = self._images(rows, made)
        return self._strips(rows, pixels, after) if self._denoising.compare else after

    def _strips(self, rows: Sequence[Row], pixels: np.ndarray, after: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        before = self._images(rows, pixels if pixels.dtype == np.uint8 else to_floats(pixels))
        for row, *halves in zip(rows, before, after, strict=True):
            if row.alpha is not None:
                row.alpha = np.concatenate([row.alpha, row.alpha], axis=1)
            yield np.concatenate(halves, axis=1)
