"""What ncnn and pnnx do not have, by what they have: argmin, top-k, codebooks, comparisons, casts, a softplus.

Inside ``with NcnnOperators():`` PyTorch's functions of those names are others that compute the same by sums, products,
the least of some numbers, and clamping. ncnn has no integers: indices are floats, exact up to 2^24, and true is 1.0.

A step, 1.0 where a > b and 0.0 elsewhere, is (a − b) · 1e38 clamped to [0, 1]: exact but where a and b differ by less
than 1e-38.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_STEEP = 1e38
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class NcnnOperators(TorchFunctionMode):
    """PyTorch in ncnn's operators, while the block lasts."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _OTHERWISE.get(function, function)(*args, **(kwargs or {}))


def constants_as_floats(module: nn.Module) -> None:
    """Make a module's integer buffers floats: what is added to them or multiplied by them is no integer either."""
    for owner in module.modules():
        for name, buffer in owner.named_buffers(recurse=False):
            if buffer.dtype in _INTEGERS:
                setattr(owner, name, buffer.float())


def _greater(a: Tensor | float, b: Tensor | float) -> Tensor:
    return ((a - b) * _STEEP).clamp(0.0, 1.0)  # type: ignore[union-attr]  # one of them is a tensor


def _unequal(a: Tensor | float, b: Tensor | float) -> Tensor:
    return ((a - b).abs() * _STEEP).clamp(0.0, 1.0)  # type: ignore[union-attr]


def _less(a: Tensor | float, b: Tensor | float) -> Tensor:
    return _greater(b, a)


def _at_least(a: Tensor | float, b: Tensor | float) -> Tensor:
    return 1.0 - _greater(b, a)


def _at_most(a: Tensor | float, b: Tensor | float) -> Tensor:
    return 1.0 - _greater(a, b)


def _equal(a: Tensor | float, b: Tensor | float) -> Tensor:
    return 1.0 - _unequal(a, b)


def _where(condition: Tensor, one: Tensor | float, other: Tensor | float) -> Tensor:
    chosen = condition * one
    # A product less, and nothing to add, in the usual case.
    return chosen if isinstance(other, float | int) and other == 0 else chosen + (1.0 - condition) * other


def _tensor_where(one: Tensor, condition: Tensor, other: Tensor | float) -> Tensor:
    return _where(condition, one, other)


def _argmin(values: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The first of the least: the least of those positions, others being pushed beyond the last."""
    if dim is None:
        raise NotImplementedError("argmin and argmax over a whole tensor, batch and all, have no meaning by image")
    count = values.shape[dim]
    larger = _greater(values, values.amin(dim, keepdim=True))
    return (_positions(count, dim, values.ndim) + larger * count).amin(dim, keepdim=keepdim)


def _argmax(values: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    return _argmin(-values, dim, keepdim)


def _one_hot(indices: Tensor, classes: int) -> Tensor:
    """[*shape, classes]: 1.0 where the position along the last axis is the index."""
    apart = indices.unsqueeze(-1) - _positions(classes, -1, indices.ndim + 1)
    return (1.0 - apart.abs()).clamp(0.0, 1.0)


def _embedding(indices: Tensor, weight: Tensor, *options: Any, **more: Any) -> Tensor:
    """Rows of ``weight``, by a product with a matrix of one 1 a row: no number changes. The options are training's."""
    return _one_hot(indices, weight.shape[0]) @ weight


def _topk(values: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """By rank: how many are larger, or as large and before it. Those of rank r are picked by a product with 0 and 1."""
    last = _movedim(values, dim, -1)
    count = last.shape[-1]
    mine, others = last.unsqueeze(-1), last.unsqueeze(-2)
    ahead = _greater(others, mine) if largest else _less(others, mine)
    before = torch.ones(count, count).tril(-1)
    rank = (ahead + _equal(others, mine) * before).sum(-1)
    # [*shape, k, count]: 1.0 where an entry has that rank.
    picked = (1.0 - (rank.unsqueeze(-2) - _positions(k, -2, last.ndim + 1)).abs()).clamp(0.0, 1.0)
    best, at = ((picked * each.unsqueeze(-2)).sum(-1) for each in (last, _positions(count, -1, last.ndim)))
    return torch.return_types.topk((_movedim(best, -1, dim), _movedim(at, -1, dim)))


def _scatter(into: Tensor, dim: int, index: Tensor, source: Tensor | float) -> Tensor:
    """Where an index points twice, PyTorch keeps any of the two, and this their sum: ranks point once each."""
    hits = _one_hot(_movedim(index, dim, -1), into.shape[dim])
    given = (hits * _movedim(source, dim, -1).unsqueeze(-1) if isinstance(source, Tensor) else hits * source).sum(-2)
    return into * _movedim(1.0 - hits.sum(-2), -1, dim) + _movedim(given, -1, dim)


def _movedim(values: Tensor, source: int, destination: int) -> Tensor:
    source, destination = source % values.ndim, destination % values.ndim
    order = list(range(values.ndim))
    order.insert(destination, order.pop(source))
    return values if source == destination else values.permute(order)


def _transposed(values: Tensor) -> Tensor:
    return values.transpose(-2, -1)


def _to_integer(values: Tensor, *options: Any, **more: Any) -> Tensor:
    return values.trunc()


def _to(values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    dtype = next((each for each in (*args, *kwargs.values()) if isinstance(each, torch.dtype)), None)
    return values.trunc() if dtype in _INTEGERS else values


def _as_it_is(values: Tensor, *options: Any, **more: Any) -> Tensor:
    return values


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """max(x, 0) + log1p(u), of u = exp(−|x|); ncnn's own is off by a percent where x is far below 0, as is its log1p.

    log1p(u) is 2 artanh(s) of s = u / (2 + u), at the most 1/3, and the series s + s³/3 + s⁵/5 + … of that is exact to
    the last bit of a float32 after seven terms.
    """
    u = (-(x * beta).abs()).exp()
    s = u / (u + 2.0)
    square = s * s
    series = square * (1 / 13) + 1 / 11
    for odd in (9, 7, 5, 3, 1):
        series = series * square + 1 / odd
    return x.relu() + s * 2.0 * series / beta


def _log_sigmoid(x: Tensor) -> Tensor:
    return -_softplus(-x)


def _positions(count: int, dim: int, ndim: int) -> Tensor:
    """0, 1, 2 … along one axis of ``ndim``, the others of size 1."""
    shape = [1] * ndim
    shape[dim] = count
    return torch.arange(count, dtype=torch.float32).view(shape)


def _functions(*names: str) -> list[Any]:
    """PyTorch's functions and tensor methods of those names."""
    return [getattr(owner, name) for owner in (torch, Tensor) for name in names if hasattr(owner, name)]


_OTHERWISE: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys(_functions("gt", "greater", "__gt__"), _greater),
    **dict.fromkeys(_functions("lt", "less", "__lt__"), _less),
    **dict.fromkeys(_functions("ge", "greater_equal", "__ge__"), _at_least),
    **dict.fromkeys(_functions("le", "less_equal", "__le__"), _at_most),
    **dict.fromkeys(_functions("eq", "__eq__"), _equal),
    **dict.fromkeys(_functions("ne", "not_equal", "__ne__"), _unequal),
    torch.where: _where,
    Tensor.where: _tensor_where,
    **dict.fromkeys(_functions("argmin"), _argmin),
    **dict.fromkeys(_functions("argmax"), _argmax),
    functional.embedding: _embedding,
    functional.softplus: _softplus,
    functional.logsigmoid: _log_sigmoid,
    **dict.fromkeys(_functions("topk"), _topk),
    **dict.fromkeys(_functions("scatter"), _scatter),
    **dict.fromkeys(_functions("movedim", "moveaxis"), _movedim),
    Tensor.mT.__get__: _transposed,  # type: ignore[attr-defined]
    **dict.fromkeys((Tensor.long, Tensor.int, Tensor.byte), _to_integer),
    Tensor.to: _to,
    Tensor.float: _as_it_is,
}
