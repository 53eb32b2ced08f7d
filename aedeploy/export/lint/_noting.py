"""Where in the code operators are called from, noted while a model runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from aedeploy.models.place import Place, name_of, their_line


class Noting(TorchDispatchMode):
    """Notes each operator that draws random numbers or normalises by a batch, and the line that called it."""

    def __init__(self, root: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[str, Place]] = []
        self._root = root
        self._names = {id(module): name for name, module in root.named_modules()}

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = operator.overloadpacket.__name__
        if torch.Tag.nondeterministic_seeded in operator.tags or "batch_norm" in name:
            self.found.append((name.removesuffix("_"), _calling_place(self._root, self._names)))
        return operator(*args, **(kwargs or {}))


class NotingLengths(TorchFunctionMode):
    """Notes where ``len`` of a tensor is taken: a plain number, which an exporter can only write down."""

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self.found: list[Place] = []
        self._root = root
        self._names = {id(module): name for name, module in root.named_modules()}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.Tensor.__len__:
            self.found.append(_calling_place(self._root, self._names))
        return function(*args, **(kwargs or {}))


def _calling_place(root: nn.Module, names: Mapping[int, str]) -> Place:
    """The innermost module and line of theirs that are being run."""
    path = line = None
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and (path is None or line is None):
        if path is None:
            path = names.get(id(frame.f_locals.get("self")))
        line = line or their_line(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return Place(module=name_of(path or "", root), line=line)
