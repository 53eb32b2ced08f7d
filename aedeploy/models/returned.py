"""What somebody's ``forward``, ``encode`` or ``decode`` returned: an image, or something that holds one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from torch import Tensor

from aedeploy.errors import ExportError


def first_of(result: Any) -> Tensor:
    """The reconstruction, which stands first where there is more.

    Raises:
        ExportError: it is something else than a tensor, or a tuple that starts with one.
    """
    found = result[0] if isinstance(result, tuple | list) and result else result
    if isinstance(found, Tensor):
        return found
    raise ExportError(
        f"The model gives {described(result)} where an image, or a tuple that starts with it, must come back: wrap it "
        "in a class that returns the image alone."
    )


def tensors_in(result: Any) -> Iterator[Tensor]:
    """Every tensor in what was returned, in its order: a tensor, or tuples, tables and dataclasses of them."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        yield from (tensor for value in result.values() for tensor in tensors_in(value))
    elif isinstance(result, tuple | list):
        yield from (tensor for value in result for tensor in tensors_in(value))
    elif is_dataclass(result):
        yield from tensors_in(vars(result))


def described(value: object) -> str:
    """A value by what it is: ``[batch, 16]``, ``a dict of 2``."""
    if isinstance(value, Tensor):
        return f"[{', '.join(['batch', *map(str, value.shape[1:])])}]" if value.ndim else "a single number"
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"an instance of {type(value).__name__}"
