"""Settings of a corruption that are a number, or a range of which one is drawn for each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor

#: One number for all images, or (lowest, highest).
Range = float | tuple[float, float]


def range_reader(allowed: Callable[[float], bool], what: str) -> Callable[[object], Range]:
    """A validator of a number, or of two, ``[lowest, highest]``; ``what`` says in a message which are ``allowed``."""

    def read(value: object) -> Range:
        numbers: Sequence[Any] = value if isinstance(value, list | tuple) and len(value) == 2 else [value, value]
        if not all(type(number) in (int, float) and abs(number) < inf and allowed(number) for number in numbers):
            raise ValueError(f"it is {what}, or a range of two, [lowest, highest]")
        lowest, highest = float(numbers[0]), float(numbers[1])
        if lowest > highest:
            raise ValueError("a range is [lowest, highest]")
        return lowest if lowest == highest else (lowest, highest)

    return read


#: Of a whole: from 0 to 1.
read_share = range_reader(lambda number: 0.0 <= number <= 1.0, "a share from 0 to 1")


def drawn(setting: Range, image_BCHW: Tensor) -> float | Tensor:
    """The number itself, or one for each image, drawn evenly from the range: float32 [B, 1, 1, 1]."""
    if not isinstance(setting, tuple):
        return setting
    return torch.empty(len(image_BCHW), 1, 1, 1, device=image_BCHW.device).uniform_(*setting)
