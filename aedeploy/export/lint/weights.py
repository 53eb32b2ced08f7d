"""Weights that are no numbers, or larger than any half-precision format holds."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._subject import Subject

STAGE = Stage.RUNS

_LARGEST_HALF = torch.finfo(torch.float16).max


def check(subject: Subject) -> Iterator[Finding]:
    """Every parameter and buffer of the model; a mask of −∞ in a buffer is no fault."""
    for name, parameter in subject.root.named_parameters():
        yield from _check(name, parameter.detach(), parameter.detach().isfinite())
    for name, tensor in subject.root.named_buffers():
        if tensor.is_floating_point():
            yield from _check(name, tensor, tensor.isfinite() | tensor.isneginf())


def _check(name: str, tensor: Tensor, sound: Tensor) -> Iterator[Finding]:
    wrong = int((~sound).sum())
    if wrong:
        yield Finding(
            rule="weights",
            severity="error",
            where=name,
            what=f"{wrong:,} of {tensor.numel():,} values are NaN or infinite",
            remedy="Take weights from before training diverged",
        )
    finite = tensor[tensor.isfinite()].abs()
    if finite.numel() and finite.max() > _LARGEST_HALF:
        yield Finding(
            rule="weights",
            severity="warning",
            where=name,
            what=f"its largest value is {float(finite.max()):.3g}, beyond {_LARGEST_HALF:.0f}, float16's largest",
            remedy="Look whether training diverged; formats of half precision cannot hold it",
        )
