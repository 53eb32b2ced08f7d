"""Where in somebody's model something happens: the module's path, and the line of their code."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

_NOT_THEIRS = (str(Path(torch.__file__).parent), str(Path(__file__).resolve().parents[1]))


@dataclass(frozen=True, kw_only=True)
class Place:
    """A module of a model, by its path there, and a line of code, where one is known."""

    module: str
    line: str | None = None

    def __str__(self) -> str:
        return self.module if self.line is None else f"{self.module}, {self.line}"


def name_of(path: str, root: nn.Module) -> str:
    """A module's path with its class, or the class alone of the model itself: ``encoder.norm (BatchNorm2d)``."""
    try:
        module = root.get_submodule(path)
    except AttributeError:
        return path
    kind = type(module).__name__
    return f"{path} ({kind})" if path else kind


def place_of_error(error: BaseException, root: nn.Module) -> Place:
    """The innermost module of ``root`` in which an error arose, and the last line of code that is not PyTorch's."""
    names = {id(module): name for name, module in root.named_modules()}
    path, line = "", None
    for frame, number in traceback.walk_tb(error.__traceback__):
        path = names.get(id(frame.f_locals.get("self")), path)
        line = their_line(frame.f_code.co_filename, number) or line
    return Place(module=name_of(path, root), line=line)


def place_in_stack(path: str, frames: Iterable[tuple[str, int]], root: nn.Module) -> Place:
    """The place of a module and a stack of file names and line numbers, outermost first."""
    lines = [line for line in (their_line(file, number) for file, number in frames) if line]
    return Place(module=name_of(path, root), line=lines[-1] if lines else None)


def their_line(file: str, number: int) -> str | None:
    """``nets.py line 12: z = mu + eps``; None where the code is PyTorch's, ours or not to be had."""
    code = linecache.getline(file, number).strip()
    if not code or str(Path(file).resolve()).startswith(_NOT_THEIRS):
        return None
    return f"{Path(file).name} line {number}: {code}"


def one_line(error: BaseException | str) -> str:
    """The first line of an error's or a warning's message, or its class where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
