"""What values an operator's output can have, from its activation on: an interval by channel, or one for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from aedeploy.export.lint._nodes import argument, name_of

_INF = float("inf")


@dataclass(frozen=True)
class Interval:
    """No value is below ``low`` or above ``high``: numbers, or arrays that broadcast over [batch, C, H, W]."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, low: float, high: float) -> Interval:
        return cls(np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))

    def hull(self) -> Interval:
        """One interval for all channels: what is left of it when values change their places."""
        return Interval(self.low.min(), self.high.max())

    def through(self, function: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """Of a function that never falls."""
        return Interval(function(self.low), function(self.high))

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def __mul__(self, other: Interval) -> Interval:
        with np.errstate(invalid="ignore"):  # 0 × ∞ is 0 here: the bound is not reached
            ends = [np.nan_to_num(a * b, nan=0.0, posinf=_INF, neginf=-_INF) for a in self for b in other]
        return Interval(np.minimum.reduce(ends), np.maximum.reduce(ends))

    def __iter__(self) -> Any:
        return iter((self.low, self.high))


ANY = Interval.of(-_INF, _INF)

#: Whatever goes in, this comes out.
_BOUNDED = {
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "sin": (-1.0, 1.0),
    "cos": (-1.0, 1.0),
    "erf": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, _INF),
    "exp": (0.0, _INF),
    "silu": (-0.2785, _INF),
    "gelu": (-0.17, _INF),
    "elu": (-1.0, _INF),
}
#: Values stay what they are, or become means of their neighbours; channels keep their places.
KEEPS = {
    "clone", "contiguous", "to", "_to_copy", "detach", "alias", "dropout", "upsample_nearest2d", "upsample_bilinear2d",
    "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "type_as",
}  # fmt: skip
#: Values stay what they are, and change their places.
MOVES = {
    "view", "reshape", "_unsafe_view", "flatten", "unflatten", "permute", "transpose", "squeeze", "unsqueeze", "expand",
    "slice", "select", "pixel_shuffle", "pixel_unshuffle", "flip", "roll", "movedim", "repeat",
}  # fmt: skip


class Intervals:
    """The intervals of the nodes of one captured graph."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        signature = program.graph_signature
        places = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self._values: dict[str, torch.Tensor] = {}
        for name, place in places.items():
            found = program.state_dict.get(place, program.constants.get(place))
            if isinstance(found, torch.Tensor):
                self._values[name] = found
        for name, place in signature.inputs_to_lifted_tensor_constants.items():
            found = program.constants.get(place)
            if isinstance(found, torch.Tensor):
                self._values[name] = found

    def of(self, value: Any) -> Interval:
        """The interval of a node, a number or a constant; of what is not known, any value."""
        if isinstance(value, int | float):
            return Interval.of(value, value)
        if not isinstance(value, Node):
            return ANY
        if value.op == "placeholder":
            return self._constant(self._values.get(value.name))
        if value.op != "call_function":
            return ANY
        return self._of_call(value, name_of(value))

    @staticmethod
    def _constant(tensor: torch.Tensor | None) -> Interval:
        if tensor is None or not tensor.numel() or tensor.ndim > 4:
            return ANY
        array = tensor.detach().double().numpy()
        # Whether it runs along the channels is only sure where its shape says so.
        by_channel = array.ndim >= 3 and array.size == array.shape[-3]
        exact = array.reshape(1, -1, 1, 1) if by_channel else array
        return Interval(exact, exact) if by_channel else Interval.of(array.min(), array.max())

    def _of_call(self, node: Node, name: str) -> Interval:
        if name in _BOUNDED:
            return Interval.of(*_BOUNDED[name])
        if name in KEEPS or name in MOVES:
            inner = self.of(node.args[0])
            return inner if name in KEEPS else inner.hull()
        if name in ("add", "sub", "mul", "div", "neg"):
            return self._arithmetic(node, name)
        if name == "relu":
            return self.of(node.args[0]).through(lambda end: np.maximum(end, 0.0))
        if name == "leaky_relu":
            slope = float(argument(node, "negative_slope", 0.01))
            return self.of(node.args[0]).through(lambda end: np.where(end < 0, slope * end, end))
        if name in ("clamp", "hardtanh"):
            return self.of(node.args[0]).through(_clamp(node, name))
        if name in ("clamp_min", "clamp_max"):
            bound = node.args[1]
            if not isinstance(bound, int | float):
                return ANY
            limit, end_at = (np.maximum if name == "clamp_min" else np.minimum), float(bound)
            return self.of(node.args[0]).through(lambda end: limit(end, end_at))
        if name == "cat" and isinstance(node.args[0], list | tuple):
            parts = [self.of(part).hull() for part in node.args[0]]
            return Interval(np.min([p.low for p in parts]), np.max([p.high for p in parts]))
        return ANY

    def _arithmetic(self, node: Node, name: str) -> Interval:
        one = self.of(node.args[0])
        if name == "neg":
            return -one
        other = self.of(node.args[1])
        if not _is_number(node.kwargs.get("alpha", 1)) or node.kwargs.get("alpha", 1) != 1:
            return ANY
        if name in ("add", "sub"):
            return one + (other if name == "add" else -other)
        if name == "div":
            if (other.low <= 0).any() and (other.high >= 0).any():
                return ANY
            other = Interval(1.0 / other.high, 1.0 / other.low)
        return one * other


def _clamp(node: Node, name: str) -> Callable[[np.ndarray], np.ndarray]:
    low, high = ("min_val", "max_val") if name == "hardtanh" else ("min", "max")
    least, most = argument(node, low), argument(node, high)
    bounds = (least if _is_number(least) else -_INF, most if _is_number(most) else _INF)
    return lambda end: np.clip(end, *bounds)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
