"""Mean and standard deviation of images, by channel."""

from __future__ import annotations

import torch

from aedeploy.models.build import PixelStatistics
from aedeploy.training.data.image_set import ImageSet, in_turn

_BATCH = 256


def pixel_statistics(images: ImageSet) -> PixelStatistics:
    """Of all pixels, in [0, 1] units, exactly: counted by their 256 values."""
    channels = images.image_shape[0]
    counts = torch.zeros(channels, 256, dtype=torch.float64)
    for batch in images.batches(in_turn(len(images), _BATCH)):
        for channel in range(channels):
            counts[channel] += torch.bincount(batch[:, channel].flatten().int(), minlength=256)
    values = torch.arange(256, dtype=torch.float64) / 255.0
    total = counts.sum(1)
    mean = counts @ values / total
    variance = counts @ values.square() / total - mean.square()
    # Images of one grey: a spread of 0 cannot be divided by.
    std = variance.clamp(min=0.0).sqrt().clamp(min=1.0 / 255.0)
    return PixelStatistics(mean=mean.tolist(), std=std.tolist())
