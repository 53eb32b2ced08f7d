"""How much memory this process may still take, and what is said when that is not enough."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from aedeploy.errors import TrainingError

# Of torch.nn.init, and of Tensor.
_FILLING = frozenset({"kaiming_uniform_", "kaiming_normal_", "uniform_", "normal_", "zero_", "fill_"})
# Where a system tells nothing: a figure that small machines have too.
_UNKNOWN = 2 << 30


def available_memory() -> int:
    """Bytes, by the system and by the container's limit, whichever is less."""
    return min(_system_memory(), _cgroup_memory() or _system_memory())


def size_of_weights(build: Callable[[], nn.Module]) -> int:
    """Bytes of the parameters of the model that ``build`` makes; no memory is taken for them."""
    with torch.device("meta"), _Unfilled():
        return sum(parameter.nbytes for parameter in build().parameters())


class _Unfilled(TorchFunctionMode):
    """Leaves new weights as they are: on the device "meta", PyTorch would load all of its compiler to fill them."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in _FILLING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def gibibytes(size: int) -> str:
    """A number of bytes, for a person."""
    return f"{size / 2**30:,.1f} GiB"


@contextmanager
def memory_for(what: str, remedy: str) -> Iterator[None]:
    """Turn a failed allocation in the block, by NumPy, Pillow or PyTorch, into a TrainingError that names ``what``."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        pass
    except RuntimeError as error:
        # What PyTorch says of the CPU's memory has no type of its own.
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
    else:
        return
    raise TrainingError(f"There is not enough memory for {what}: lower {remedy}.") from None


def _system_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def _cgroup_memory() -> int | None:
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            return max(0, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):
            continue
    return None
