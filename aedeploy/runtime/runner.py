"""The one seam between a graph and whatever computes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from aedeploy.bundle import TensorSpec
from aedeploy.errors import BackendError

Arrays = dict[str, np.ndarray]


class GraphRunner(Protocol):
    """One opened graph. A protocol, so that a test double or another program's engine needs no base class."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Compute all outputs. Shapes and dtypes are those of ``inputs`` and ``outputs``; any batch size."""
        ...

    def close(self) -> None:
        """Free what the engine holds; the runner is not used again."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class RunnerLifetime:
    """``with`` for a runner: closed at the end of the block."""

    def close(self) -> None:
        """Nothing to free unless a backend says otherwise."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_inputs(specs: tuple[TensorSpec, ...], inputs: Mapping[str, np.ndarray]) -> None:
    """Refuse inputs that do not fit the specs, before an engine turns them into something else.

    Raises:
        BackendError: a name, a dtype, a rank or a fixed dimension is off, or two inputs are not equally large.
    """
    names = [spec.name for spec in specs]
    if sorted(inputs) != sorted(names):
        raise BackendError(f"The graph takes {', '.join(names)}, and was given {', '.join(inputs) or 'nothing'}.")
    for spec in specs:
        array = inputs[spec.name]
        fits = len(array.shape) == len(spec.shape) and all(
            isinstance(want, str) or want == got for want, got in zip(spec.shape, array.shape, strict=True)
        )
        if not fits or array.dtype != np.dtype(spec.dtype):
            raise BackendError(
                f"{spec.name!r} must be {spec.dtype} {list(spec.shape)}, and is {array.dtype} {list(array.shape)}."
            )
    _check_agreement(specs, inputs)


def _check_agreement(specs: tuple[TensorSpec, ...], inputs: Mapping[str, np.ndarray]) -> None:
    """Dimensions of one name are of one length. Not every engine looks: ncnn reads beyond the smaller one."""
    lengths: dict[str, tuple[int, str]] = {}
    for spec in specs:
        for name, length in zip(spec.shape, inputs[spec.name].shape, strict=True):
            if not isinstance(name, str):
                continue
            known, other = lengths.setdefault(name, (length, spec.name))
            if length != known:
                raise BackendError(f"{other!r} and {spec.name!r} differ in {name}: it is {known}, and {length}.")
