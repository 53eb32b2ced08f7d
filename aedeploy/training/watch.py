"""A few held-out images, put through the model after every epoch: always the same ones, so that epochs compare."""

from __future__ import annotations

from contextlib import nullcontext
from math import prod

import numpy as np
import torch
from torch import Tensor

from aedeploy.training.corruption import Corruptions
from aedeploy.training.data.image_set import ImageSet
from aedeploy.training.events import Watched
from aedeploy.training.loop import Fit
from aedeploy.training.measure import evaluating, to_unit
from aedeploy.training.randomness import set_randomness

_IMAGES = 8
# Pixels that go through the model at once. A training step needs the memory of many more, for its gradients.
_PIECE_PIXELS = 1 << 18


class Watch:
    """The images, read once, and corrupted once where the recipe corrupts: the same noise in every run and epoch.

    It draws nothing and leaves nothing behind in the model: a run that is watched ends with the weights of one that
    is not, bit for bit.
    """

    def __init__(self, held_out: ImageSet, corruptions: Corruptions) -> None:
        count = min(_IMAGES, len(held_out))
        (self.originals,) = held_out.batches([torch.arange(count) * len(held_out) // count])
        with torch.random.fork_rng([]):
            # On the CPU, whatever trains: of another device it would be another noise.
            set_randomness(torch.device("cpu"), "watched")
            self.inputs, self.sigma = corruptions(to_unit(self.originals, torch.device("cpu")))
        self.piece = max(1, _PIECE_PIXELS // prod(held_out.image_shape))

    @torch.no_grad()
    def look(self, fit: Fit) -> Watched:
        """What the model makes of them now, or the average of its weights where the recipe keeps one.

        In a phase that trains a part of the model it is still what the whole of it gives.
        """
        with fit.average.in_place() if fit.average else nullcontext(), evaluating(fit.model):
            found = [
                fit.model(self.inputs[at].to(fit.device), None if self.sigma is None else self.sigma[at].to(fit.device))
                for at in torch.split(torch.arange(len(self.inputs)), self.piece)
            ]
        return Watched(
            epoch=fit.progress.epoch,
            inputs=_bytes(self.inputs),
            reconstructions=_bytes(torch.cat(found)),
            originals=self.originals.cpu().permute(0, 2, 3, 1).numpy(),
        )


def _bytes(image_BCHW: Tensor) -> np.ndarray:
    """Images in [0, 1], or beyond it where noise was added, to uint8 [B, H, W, C]."""
    pixels = image_BCHW.float().nan_to_num().clamp(0.0, 1.0).mul(255.0).round().byte()
    found: np.ndarray = pixels.permute(0, 2, 3, 1).cpu().contiguous().numpy()
    return found
