"""One rule for each operator: of what is right in its inputs, what is right in its output.

An operator that is not here makes the reach unknown: a model is cut into tiles only where all of it is understood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from torch import Tensor

from aedeploy.models.any_size.reach import (
    Axis,
    Factor,
    Traced,
    Unbounded,
    joined,
    linear,
    nearest,
    nearest_centre,
    plain,
    scattered,
    windows,
)

#: Why some have no bound, for a person.
_GLOBAL = {
    "native_group_norm": "group normalisation, which takes in the whole image",
    "native_batch_norm": "normalisation by the image's own mean and variance",
    "_native_batch_norm_legit": "normalisation by the image's own mean and variance",
    "bmm": "a product of the image with itself, such as attention",
    "_scaled_dot_product_flash_attention_for_cpu": "attention, which takes in the whole image",
    "_adaptive_avg_pool2d": "pooling over the whole image",
    "upsample_bicubic2d": "bicubic resizing",
}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of an operator: its arguments by their names, what it gave, and which tensors were made of the image."""

    name: str
    arguments: dict[str, Any]
    output: Any
    is_pointwise: bool
    traced_of: Callable[[Tensor], Traced | None]
    is_uniform: Callable[[Tensor], bool]  # one value throughout

    def __getitem__(self, argument: str) -> Any:
        return self.arguments.get(argument)

    def traced(self, argument: str) -> Traced:
        """An argument that is made of the image.

        Raises:
            Unbounded: it is not: the image comes in where weights would be.
        """
        value = self[argument]
        found = self.traced_of(value) if isinstance(value, Tensor) else None
        if found is None:
            raise self.unbounded()
        return found

    def image(self, argument: str = "self") -> Traced:
        found = self.traced(argument)
        if not found.is_image:
            raise self.unbounded()
        return found

    def fixed(self, *arguments: str) -> None:
        """Raise where one of these is made of the image too."""
        if any(isinstance(self[name], Tensor) and self.traced_of(self[name]) for name in arguments):
            raise self.unbounded()

    def unbounded(self) -> Unbounded:
        said = f"the operator {self.name}, of which it is not known how far it reaches"
        return Unbounded(_GLOBAL.get(self.name, said))

    @property
    def shape(self) -> Sequence[int]:
        output = self.output[0] if isinstance(self.output, tuple | list) else self.output
        return tuple(output.shape)


def outputs_of(call: Call) -> Traced | list[Traced]:
    """What the outputs of a call are: all of them the same, or one by one.

    Raises:
        Unbounded: there is no bound, or none is known.
    """
    rule = _RULES.get(call.name)
    if rule is not None:
        return rule(call)
    if call.is_pointwise:
        return _pointwise(call)
    raise call.unbounded()


def _pointwise(call: Call) -> Traced:
    """Broadcast. What is not of the image may not differ from place to place: no positions learned or counted."""
    tensors = [value for value in call.arguments.values() if isinstance(value, Tensor)]
    traced = [found for tensor in tensors if (found := call.traced_of(tensor)) is not None]
    together = traced[0]
    for other in traced[1:]:
        together = joined(together, other)
    dimensions = []
    for back in range(1, len(call.shape) + 1):
        of_image = [found.dimensions[-back] for found in traced if back <= len(found.dimensions)]
        wide = {dimension for dimension in of_image if any(f.label or f.size > 1 for f in dimension)}
        labelled = {dimension for dimension in wide if any(factor.label for factor in dimension)}
        if labelled and len(wide) > 1:
            raise Unbounded("tensors of different layouts that are combined")
        others = [t for t in tensors if call.traced_of(t) is None and not call.is_uniform(t)]
        if labelled and any(back <= t.ndim and t.shape[-back] > 1 for t in others):
            raise Unbounded("values that differ from place to place, such as positions")
        dimensions.append(next(iter(labelled), plain(call.shape[-back])))
    return together.like(reversed(dimensions))


def _pair(value: Any, default: Any = None) -> tuple[Any, Any]:
    found = default if value is None or (isinstance(value, list | tuple) and not value) else value
    if isinstance(found, list | tuple):
        return (found[0], found[-1])
    return (found, found)


def _over_windows(
    call: Call, image: Traced, table: Callable[..., np.ndarray], scale: Callable[[int], Fraction], **sizes: Any
) -> Traced:
    axes = []
    for at, axis in enumerate((image.h, image.w)):
        one = {name: int(pair[at]) for name, pair in sizes.items()}
        axes.append(axis.gathered(table(call.shape[2 + at], **one), scale(one["stride"])))
    return image.resized(call.shape, axes[0], axes[1])


def _convolution(call: Call) -> Traced:
    call.fixed("weight", "bias")
    transposed = bool(call["transposed"])
    return _over_windows(
        call,
        call.image("input"),
        scattered if transposed else windows,
        (lambda stride: Fraction(1, stride)) if transposed else Fraction,
        kernel=tuple(call["weight"].shape[2:]),
        stride=_pair(call["stride"]),
        padding=_pair(call["padding"]),
        dilation=_pair(call["dilation"]),
    )


def _pool(call: Call) -> Traced:
    kernel = _pair(call["kernel_size"])
    return _over_windows(
        call,
        call.image(),
        windows,
        Fraction,
        kernel=kernel,
        stride=_pair(call["stride"], kernel),
        padding=_pair(call["padding"], 0),
        dilation=_pair(call["dilation"], 1),
    )


def _resized_by(call: Call, table: Callable[[int, int], np.ndarray]) -> Traced:
    image, axes = call.image(), []
    for axis, count, asked in zip((image.h, image.w), call.shape[2:], (call["scales_h"], call["scales_w"]), strict=True):
        before = len(axis.right)
        exact = asked is None or Fraction(asked) * before == count
        if not exact or (count % before and before % count):
            raise Unbounded("resizing by a factor that is no whole number")
        axes.append(axis.gathered(table(count, before), Fraction(before, count)))
    return image.resized(call.shape, axes[0], axes[1])


def _bilinear(call: Call) -> Traced:
    if call["align_corners"]:
        raise Unbounded("bilinear resizing with align_corners, which reads from other places in an image of other size")
    return _resized_by(call, linear)


def _pad(call: Call) -> Traced:
    found, pads = call.traced("self"), list(call["pad"] if call["pad"] is not None else call["padding"])
    axes = {"h": found.h, "w": found.w}
    dimensions = list(found.dimensions)
    for back, before in enumerate(pads[::2], start=1):
        size = call.shape[-back]
        labels = [factor.label for factor in dimensions[-back]]
        if labels in (["h"], ["w"]):
            (label,) = labels
            axes[label] = axes[label].gathered((np.arange(size) - before)[:, None])
            dimensions[-back] = (Factor(label, size),)
        elif any(labels) and (before or pads[2 * back - 1]):
            raise call.unbounded()
        elif not any(labels):
            dimensions[-back] = plain(size)
    return Traced(dimensions=tuple(dimensions), h=axes["h"], w=axes["w"])


def _slice(call: Call) -> Traced:
    found, at = call.traced("self"), (call["dim"] or 0) % len(call.shape)
    step, size = call["step"] or 1, call.shape[at]
    labels = [factor.label for factor in found.dimensions[at]]
    axes = {"h": found.h, "w": found.w}
    whole = sum(1 for _ in labels) and size == _length(found, at)
    if any(labels) and not whole:
        if len(labels) > 1:
            raise call.unbounded()
        start = call["start"] or 0
        start += _length(found, at) if start < 0 else 0
        axes[labels[0]] = axes[labels[0]].gathered((start + np.arange(size) * step)[:, None], step)
        return Traced(
            dimensions=_with(found, at, (Factor(labels[0], size),)).dimensions, h=axes["h"], w=axes["w"]
        )
    return found if whole else _with(found, at, plain(size))


def _length(found: Traced, at: int) -> int:
    return int(np.prod([factor.size for factor in found.dimensions[at]]))


def _with(found: Traced, at: int, dimension: tuple[Factor, ...]) -> Traced:
    return found.like((*found.dimensions[:at], dimension, *found.dimensions[at + 1 :]))


def _shuffle(call: Call) -> Traced:
    image, factor = call.image(), int(call["upscale_factor"])
    axes = [a.gathered((np.arange(len(a.right) * factor) // factor)[:, None], Fraction(1, factor)) for a in _axes(image)]
    return image.resized(call.shape, axes[0], axes[1])


def _unshuffle(call: Call) -> Traced:
    image, factor = call.image(), int(call["downscale_factor"])
    axes = [a.gathered(windows(len(a.right) // factor, factor, factor, 0, 1), factor) for a in _axes(image)]
    return image.resized(call.shape, axes[0], axes[1])


def _axes(found: Traced) -> tuple[Axis, Axis]:
    return found.h, found.w


def _same(call: Call) -> Traced:
    """The same tensor, for all that matters here."""
    return call.traced("input" if "input" in call.arguments else "self")


def _viewed(call: Call) -> Traced:
    return call.traced("self").viewed(call.shape)


def _unsqueezed(call: Call) -> Traced:
    found, at = call.traced("self"), call["dim"] % len(call.shape)
    return found.like((*found.dimensions[:at], plain(1), *found.dimensions[at:]))


def _expanded(call: Call) -> Traced:
    found = call.traced("self")
    new = len(call.shape) - len(found.dimensions)
    kept = [
        dimension if any(f.label for f in dimension) else plain(size)
        for dimension, size in zip(found.dimensions, call.shape[new:], strict=True)
    ]
    return found.like([*map(plain, call.shape[:new]), *kept])


def _permuted(call: Call) -> Traced:
    found = call.traced("self")
    return found.like([found.dimensions[at] for at in call["dims"]])


def _transposed(call: Call) -> Traced:
    found = call.traced("self")
    order = list(range(len(found.dimensions)))
    one, other = call["dim0"] if call["dim0"] is not None else 0, call["dim1"] if call["dim1"] is not None else 1
    order[one], order[other] = order[other], order[one]
    return found.like([found.dimensions[at] for at in order])


def _selected(call: Call) -> Traced:
    found, at = call.traced("self"), call["dim"] % len(call.traced("self").dimensions)
    if found.is_spatial(at):
        raise call.unbounded()
    return found.like((*found.dimensions[:at], *found.dimensions[at + 1 :]))


def _divided(call: Call) -> list[Traced]:
    found, at = call.traced("self"), (call["dim"] or 0) % len(call.traced("self").dimensions)
    if found.is_spatial(at):
        raise call.unbounded()
    return [_with(found, at, plain(part.shape[at])) for part in call.output]


def _unbound(call: Call) -> list[Traced]:
    return [_selected(call)] * len(call.output)


def _cat(call: Call) -> Traced:
    tensors, at = call["tensors"], (call["dim"] or 0) % len(call.shape)
    found = [call.traced_of(tensor) for tensor in tensors]
    together = next(traced for traced in found if traced is not None)
    for tensor, traced in zip(tensors, found, strict=True):
        if traced is None and not call.is_uniform(tensor):
            raise Unbounded("values that differ from place to place, such as positions")
        together = together if traced is None else joined(together, traced)
    if together.is_spatial(at):
        raise call.unbounded()
    return _with(together, at, plain(call.shape[at]))


def _reduced(call: Call) -> Traced:
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


def _batch_norm(call: Call) -> Traced:
    if call["training"] or call["running_mean"] is None:
        raise call.unbounded()
    return call.traced("input")


def _layer_norm(call: Call) -> Traced:
    found = call.traced("input")
    if any(found.is_spatial(-1 - at) for at in range(len(call["normalized_shape"]))):
        raise Unbounded("layer normalisation over the whole image")
    return found


def _product(call: Call) -> Traced:
    """A matrix product with weights; the sum is not over places of the image."""
    names = ("mat1", "mat2") if "mat1" in call.arguments else ("self", "batch2" if "batch2" in call.arguments else "mat2")
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


def _distances(call: Call) -> Traced:
    call.fixed("x2")
    found = call.traced("x1")
    if found.is_spatial(-1):
        raise call.unbounded()
    return found.like((*found.dimensions[:-1], plain(call.shape[-1])))


def _embedding(call: Call) -> Traced:
    call.fixed("weight")
    found = call.traced("indices")
    return found.like((*found.dimensions, plain(call.shape[-1])))


def _index(call: Call) -> Traced:
    """Rows of a table, by indices that are made of the image."""
    call.fixed("self")
    (index,) = call["indices"] if len(call["indices"]) == 1 else (None,)
    found = call.traced_of(index) if isinstance(index, Tensor) else None
    if found is None:
        raise call.unbounded()
    return found.like((*found.dimensions, *map(plain, call.shape[len(found.dimensions) :])))


def _names(rule: Callable[[Call], Traced | list[Traced]], *names: str) -> dict[str, Callable[[Call], Any]]:
    return dict.fromkeys(names, rule)


_RULES: dict[str, Callable[[Call], Traced | list[Traced]]] = {
    **_names(_convolution, "convolution", "convolution_overrideable"),
    **_names(_pool, "max_pool2d", "max_pool2d_with_indices", "avg_pool2d"),
    **_names(lambda call: _resized_by(call, nearest), "upsample_nearest2d"),
    **_names(lambda call: _resized_by(call, nearest_centre), "_upsample_nearest_exact2d"),
    **_names(_bilinear, "upsample_bilinear2d"),
    **_names(_pad, "constant_pad_nd", "reflection_pad2d", "replication_pad2d"),
    **_names(_slice, "slice"),
    **_names(_shuffle, "pixel_shuffle"),
    **_names(_unshuffle, "pixel_unshuffle"),
    **_names(_same, "clone", "_to_copy", "detach", "alias", "lift_fresh", "contiguous", "channel_shuffle"),
    **_names(_same, "native_channel_shuffle", "native_dropout"),
    **_names(_viewed, "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "flatten"),
    **_names(_unsqueezed, "unsqueeze"),
    **_names(_expanded, "expand"),
    **_names(_permuted, "permute"),
    **_names(_transposed, "transpose", "t"),
    **_names(_selected, "select"),
    **_names(_divided, "split", "split_with_sizes", "chunk"),
    **_names(_unbound, "unbind"),
    **_names(_cat, "cat"),
    **_names(_reduced, "mean", "sum", "amax", "amin", "argmin", "argmax", "max", "min", "prod", "var", "std", "var_mean"),
    **_names(_reduced, "_softmax", "_log_softmax", "logsumexp", "linalg_vector_norm", "norm", "glu", "topk", "sort"),
    **_names(_batch_norm, "native_batch_norm", "cudnn_batch_norm"),
    **_names(lambda call: call.traced("input"), "_native_batch_norm_legit_no_training"),
    **_names(_layer_norm, "native_layer_norm"),
    **_names(_product, "mm", "addmm", "bmm"),
    **_names(_distances, "_cdist_forward", "_euclidean_dist"),
    **_names(_embedding, "embedding"),
    **_names(_index, "index"),
}
