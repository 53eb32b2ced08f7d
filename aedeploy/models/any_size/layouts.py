"""The rules of operators that look at one place at a time: views, sums over channels, norms, products with weights."""

from __future__ import annotations

from torch import Tensor

from aedeploy.models.any_size.call import Call
from aedeploy.models.any_size.reach import Traced, Unbounded, joined, plain


def same(call: Call) -> Traced:
    """The same tensor, for all that matters here."""
    return call.traced("input" if "input" in call.arguments else "self")


def viewed(call: Call) -> Traced:
    return call.traced("self").viewed(call.shape)


def unsqueezed(call: Call) -> Traced:
    found, at = call.traced("self"), call["dim"] % len(call.shape)
    return found.like((*found.dimensions[:at], plain(1), *found.dimensions[at:]))


def expanded(call: Call) -> Traced:
    found = call.traced("self")
    new = len(call.shape) - len(found.dimensions)
    kept = [
        dimension if any(f.label for f in dimension) else plain(size)
        for dimension, size in zip(found.dimensions, call.shape[new:], strict=True)
    ]
    return found.like([*map(plain, call.shape[:new]), *kept])


def permuted(call: Call) -> Traced:
    found = call.traced("self")
    return found.like([found.dimensions[at] for at in call["dims"]])


def transposed(call: Call) -> Traced:
    found = call.traced("self")
    order = list(range(len(found.dimensions)))
    one, other = call["dim0"] if call["dim0"] is not None else 0, call["dim1"] if call["dim1"] is not None else 1
    order[one], order[other] = order[other], order[one]
    return found.like([found.dimensions[at] for at in order])


def selected(call: Call) -> Traced:
    found, at = call.traced("self"), call["dim"] % len(call.traced("self").dimensions)
    if found.is_spatial(at):
        raise call.unbounded()
    return found.like((*found.dimensions[:at], *found.dimensions[at + 1 :]))


def divided(call: Call) -> list[Traced]:
    found, at = call.traced("self"), (call["dim"] or 0) % len(call.traced("self").dimensions)
    if found.is_spatial(at):
        raise call.unbounded()
    return [found.with_dimension(at, plain(part.shape[at])) for part in call.output]


def unbound(call: Call) -> list[Traced]:
    return [selected(call)] * len(call.output)


def cat(call: Call) -> Traced:
    tensors, at = call["tensors"], (call["dim"] or 0) % len(call.shape)
    found = [call.traced_of(tensor) for tensor in tensors]
    together = next(traced for traced in found if traced is not None)
    for tensor, traced in zip(tensors, found, strict=True):
        if traced is None and not call.is_uniform(tensor):
            raise Unbounded("values that differ from place to place, such as positions")
        together = together if traced is None else joined(together, traced)
    if together.is_spatial(at):
        raise call.unbounded()
    return together.with_dimension(at, plain(call.shape[at]))


def reduced(call: Call) -> Traced:
    """Over some dimensions, none of them a place in the image."""
    found = call.traced("input" if "input" in call.arguments else "self")
    count, dims = len(found.dimensions), call["dim"]
    dims = list(range(count)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    gone = {at % count for at in dims}
    if any(map(found.is_spatial, gone)):
        raise Unbounded("a sum, a mean or a choice over the whole image")
    if len(call.shape) == count:
        kept = (plain(call.shape[at]) if at in gone else found.dimensions[at] for at in range(count))
        return found.like(list(kept))
    return found.like([found.dimensions[at] for at in range(count) if at not in gone])


def batch_norm(call: Call) -> Traced:
    if call["training"] or call["running_mean"] is None:
        raise call.unbounded()
    return call.traced("input")


def layer_norm(call: Call) -> Traced:
    found = call.traced("input")
    if any(found.is_spatial(-1 - at) for at in range(len(call["normalized_shape"]))):
        raise Unbounded("layer normalisation over the whole image")
    return found


def product(call: Call) -> Traced:
    """A matrix product with weights; the sum is not over places of the image."""
    names = (
        ("mat1", "mat2") if "mat1" in call.arguments else ("self", "batch2" if "batch2" in call.arguments else "mat2")
    )
    left, right = (call.traced_of(call[name]) for name in names)
    if left is not None and right is not None:
        raise Unbounded("a product of the image with itself, such as attention")
    if call.name == "addmm":
        call.fixed("self")
    if left is not None and not left.is_spatial(-1):
        return left.like((*left.dimensions[:-1], plain(call.shape[-1])))
    if right is not None and not right.is_spatial(-2):
        return right.like((*right.dimensions[:-2], plain(call.shape[-2]), right.dimensions[-1]))
    raise Unbounded("a sum over the whole image")


def distances(call: Call) -> Traced:
    call.fixed("x2")
    found = call.traced("x1")
    if found.is_spatial(-1):
        raise call.unbounded()
    return found.like((*found.dimensions[:-1], plain(call.shape[-1])))


def embedding(call: Call) -> Traced:
    call.fixed("weight")
    found = call.traced("indices")
    return found.like((*found.dimensions, plain(call.shape[-1])))


def index(call: Call) -> Traced:
    """Rows of a table, by indices that are made of the image."""
    call.fixed("self")
    (index,) = call["indices"] if len(call["indices"]) == 1 else (None,)
    found = call.traced_of(index) if isinstance(index, Tensor) else None
    if found is None:
        raise call.unbounded()
    return found.like((*found.dimensions, *map(plain, call.shape[len(found.dimensions) :])))
