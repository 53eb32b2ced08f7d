"""Images in batches: the one thing that the loop wants from data, wherever it lies."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

# A set that takes no more than this is kept on the accelerator as a whole.
_RESIDENT_BYTES = 1 << 30


class ImageSet(Protocol):
    """Images, by position. A protocol: held in memory or read from files, they are used alike."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        ...

    def __len__(self) -> int: ...

    def batches(self, order: Iterable[Tensor]) -> Generator[Tensor, None, None]:
        """For each int64 tensor of positions, the images there: uint8 [B, C, H, W]."""
        ...

    def to(self, device: torch.device) -> ImageSet:
        """The same images, close to ``device`` where that is worth it."""
        ...


class MemoryImages:
    """Images held as one uint8 tensor [N, C, H, W]."""

    def __init__(self, images_NCHW: Tensor) -> None:
        self.images = images_NCHW

    @classmethod
    def of(cls, pixels: np.ndarray) -> MemoryImages:
        """From uint8 [N, H, W, C]."""
        # Torch warns of an array that cannot be written to, as one read from a file's bytes cannot.
        writable = np.require(pixels, requirements=["C", "W"])
        return cls(torch.from_numpy(writable).permute(0, 3, 1, 2).contiguous())

    @property
    def image_shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.images.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, order: Iterable[Tensor]) -> Generator[Tensor, None, None]:
        for positions in order:
            # Not by indexing, which takes several times as long for the same rows.
            yield self.images.index_select(0, positions.to(self.images.device))

    def to(self, device: torch.device) -> MemoryImages:
        if device.type == "cpu" or self.images.nbytes > _RESIDENT_BYTES:
            return self
        return MemoryImages(self.images.to(device))


def in_turn(images: int, batch_size: int) -> Iterator[Tensor]:
    """The positions of all images from first to last, in batches."""
    return iter(torch.split(torch.arange(images), batch_size))
