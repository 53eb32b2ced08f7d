"""Several processes that train one model, as PyTorch's ``torchrun`` starts them: on GPUs, machines, or cores.

Each takes its share of every batch; gradients are added up over all of them in one go after each step's backward pass,
so that the result is that of one process on the whole batch, whatever else a method does within a step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from aedeploy.errors import BackendError

T = TypeVar("T")

_PATIENCE = timedelta(hours=1)

# Of the groups that this process has joined, one a run: what the last one left in the store is not for the next.
_groups = count()


@dataclass(frozen=True, kw_only=True)
class World:
    """All processes of a run, and which of them this is. Alone, nothing of it does anything."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def share(self, positions: Tensor) -> Tensor:
        """This process's part of a batch."""
        return torch.tensor_split(positions, self.size)[self.rank] if self.size > 1 else positions

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)

    def add_up_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes, in one message."""
        if self.size == 1:
            return
        taken = list(parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in taken]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(message)
        parts = torch.split(message, [gradient.numel() for gradient in gradients])
        for parameter, gradient, part in zip(taken, gradients, parts, strict=True):
            # Into the gradient that is there: a fused optimiser takes its memory format to be the parameter's.
            parameter.grad = gradient.copy_(part.view_as(gradient))

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether it is so in any process."""
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)], device=device)
        torch.distributed.all_reduce(flags)
        return bool(flags.item() > 0)

    def same(self, value: T) -> T:
        """The leader's value, in all processes."""
        if self.size == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box)
        return box[0]


def processes() -> int:
    """How many torchrun has started together with this one, itself included."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_follower() -> bool:
    """Whether this process was started by torchrun, and is not the one that writes and speaks."""
    return int(os.environ.get("RANK", "0")) > 0 and "WORLD_SIZE" in os.environ


def local_device(device: torch.device) -> torch.device:
    """Of several GPUs of a machine, the one that is this process's."""
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the processes that torchrun has started, if it has, while the block runs.

    Raises:
        BackendError: they cannot find one another, or the device has no means to speak with others.
    """
    if processes() == 1:
        yield World()
        return
    if device.type not in ("cpu", "cuda") or not torch.distributed.is_available():
        raise BackendError(f"Several processes cannot train together on {device.type}: take --device cpu or cuda.")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        rank, size = _join("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise BackendError(
            f"The processes of this run cannot find one another ({str(error).splitlines()[0]}): start them with "
            "torchrun --nproc-per-node N -m aedeploy train …"
        ) from None
    try:
        yield World(rank=rank, size=size)
    finally:
        torch.distributed.destroy_process_group()


def _join(backend: str) -> tuple[int, int]:
    """Make the processes a group; this one's rank, and how many they are."""
    distributed: Any = torch.distributed  # which exports what it documents in a way that type checkers do not see
    store, rank, size = next(distributed.rendezvous("env://", timeout=_PATIENCE))
    store = distributed.PrefixStore(f"run-{next(_groups)}", store)
    if rank == 0:
        store.set("leader", "here")
    # It may have refused the run. PyTorch's own wait for it would not hear the launcher's signal, for half a minute.
    until = time.monotonic() + _PATIENCE.total_seconds()
    while not store.check(["leader"]) and time.monotonic() < until:
        time.sleep(0.05)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    return rank, size
