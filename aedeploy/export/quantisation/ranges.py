"""The values that every tensor of a graph takes on real images, by which int8 divides its 256 steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
import onnxruntime

from aedeploy.export.split import Inputs

Method = Literal["minmax", "entropy"]
METHODS: tuple[Method, ...] = ("minmax", "entropy")

#: Of the inputs, so many go through the graph at a time: every tensor of it is held at once.
_VALUES_AT_ONCE = 2**16
_BINS = 2048
_STEPS = 256

#: How much of the whole range is kept, as entropy judges it.
_SHARES = np.linspace(0.2, 1.0, 41)


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """The least and the largest value of each tensor, by its name: all that were seen, and the ones worth a step."""

    minmax: dict[str, tuple[float, float]]
    entropy: dict[str, tuple[float, float]]

    def by(self, method: Method) -> dict[str, tuple[float, float]]:
        return self.minmax if method == "minmax" else self.entropy


def open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on one thread, so that the same inputs give the same numbers."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def feeds(
    session: onnxruntime.InferenceSession, inputs: Inputs, values: int = _VALUES_AT_ONCE
) -> Iterator[dict[str, np.ndarray]]:
    """Inputs [N, …] by their names, a part of them at a time."""
    names = [entry.name for entry in session.get_inputs()]
    step = max(1, values // max(1, inputs[0][0].size))
    for start in range(0, len(inputs[0]), step):
        yield dict(zip(names, [array[start : start + step] for array in inputs], strict=True))


def minmax(model: onnx.ModelProto, inputs: Inputs) -> dict[str, tuple[float, float]]:
    """The least and the largest value of each float tensor, weights apart, on ``inputs`` [N, …]."""
    found: dict[str, tuple[float, float]] = {}
    for values in _tensors(model, inputs):
        for name, array in values.items():
            low, high = found.get(name, (np.inf, -np.inf))
            found[name] = (min(low, float(array.min())), max(high, float(array.max())))
    return found


def measure(model: onnx.ModelProto, inputs: Inputs) -> Ranges:
    """Both kinds of ranges, on real ``inputs`` [N, …].

    Exact zeros, which a ReLU gives by the thousand, say nothing of how the rest should be divided.
    """
    whole = minmax(model, inputs)
    counts = {name: np.zeros(_BINS, dtype=np.int64) for name in whole}
    for values in _tensors(model, inputs):
        for name, array in values.items():
            low, high = whole[name]
            if high > low:
                counts[name] += np.histogram(array[array != 0], bins=_BINS, range=(low, high))[0]
    return Ranges(minmax=whole, entropy={name: _worth_a_step(counts[name], *whole[name]) for name in whole})


def _tensors(model: onnx.ModelProto, inputs: Inputs) -> Iterator[dict[str, np.ndarray]]:
    """Every float tensor of a graph, for a part of the inputs at a time."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    outputs = {value.name for value in model.graph.output}
    exposed.graph.output.extend(value for value in model.graph.value_info if value.name not in outputs)
    session = open_session(exposed)
    floats = {entry.name for entry in session.get_inputs() if entry.type == "tensor(float)"}
    names = [value.name for value in session.get_outputs() if value.type == "tensor(float)"]
    for feed in feeds(session, inputs):
        values = dict(zip(names, session.run(names, feed), strict=True))
        values |= {name: array for name, array in feed.items() if name in floats}
        yield {name: array for name, array in values.items() if array.size}


def _worth_a_step(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The part of a range whose values, in so many steps, say the most of how all of them were distributed.

    What lies outside is clipped to its ends. Judged by the Kullback–Leibler divergence of the distribution in steps
    from the clipped one (Migacz 2017), at both ends by the same share.
    """
    if not counts.any() or high <= low:
        return low, high
    width = (high - low) / _BINS
    best, kept = np.inf, (low, high)
    for share in _SHARES:
        first = max(0, int((low * share - low) / width)) if low < 0 else 0
        last = min(_BINS, int(np.ceil((high * share - low) / width))) if high > 0 else _BINS
        if last - first < _STEPS:
            continue
        divergence = _divergence(counts, first, last)
        if divergence <= best:
            best, kept = divergence, (low + first * width, low + last * width)
    return kept


def _divergence(counts: np.ndarray, first: int, last: int) -> float:
    inside = counts[first:last].astype(np.float64)
    clipped = inside.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last:].sum()
    step = np.arange(len(inside)) * _STEPS // len(inside)
    sums = np.bincount(step, weights=inside, minlength=_STEPS)
    taken = np.bincount(step, weights=inside > 0, minlength=_STEPS)
    stepped = np.where(inside > 0, (sums / np.maximum(taken, 1))[step], 0.0)
    p, q = clipped / clipped.sum(), stepped / max(stepped.sum(), 1.0)
    both = p > 0
    return float(np.sum(p[both] * np.log(p[both] / np.maximum(q[both], 1e-9))))
