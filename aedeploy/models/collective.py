"""What a bottleneck learns from a batch, made one where several processes train a model, each on its part of it."""

from __future__ import annotations

import torch
from torch import Tensor


def add_up(*tensors: Tensor) -> None:
    """Replace tensors by their sums over all processes; alone, nothing happens."""
    if _several():
        for tensor in tensors:
            torch.distributed.all_reduce(tensor)


def align(*tensors: Tensor) -> None:
    """Make tensors what they are in the first process; alone, nothing happens."""
    if _several():
        for tensor in tensors:
            torch.distributed.broadcast(tensor, 0)


def _several() -> bool:
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
