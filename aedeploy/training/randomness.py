"""Every random draw is a function of the seed and of where in the run it is made.

So a run goes on exactly where it stopped without a generator's state in its checkpoint, and whether images come from
memory or from files, with however many threads, changes nothing.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def seed_of(*place: int | str) -> int:
    """A seed of 63 bits for a place in a run, such as ``seed_of(seed, "step", 1234)``."""
    digest = hashlib.blake2b("/".join(map(str, place)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def set_randomness(device: torch.device, *place: int | str) -> None:
    """Set torch's global generators, which dropout and noise draw from, to what belongs to a place in a run.

    Not by ``torch.manual_seed``, which notes a stack trace for every kind of device that has not been used yet.
    """
    seed = seed_of(*place)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def permutation(images: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: int64 [images], on the CPU."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    return torch.randperm(images, generator=generator)
