"""A model run on shapes alone: every operator that it calls on the way is noted, and nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from aedeploy.models.any_size.call import Call
from aedeploy.models.any_size.operators import outputs_of
from aedeploy.models.any_size.reach import Axis, Factor, Traced, Unbounded, plain

#: What these give is one value throughout.
_UNIFORM = ("zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")

#: What PyTorch does not call so itself.
_POINTWISE = ("hardswish", "_prelu_kernel", "log_sigmoid_forward", "special_expit", "floor_divide")

_BATCH = 2


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What a run on one tile shows."""

    radius: int | None  # how far from its edge a pixel is right, wherever the tile begins; None: none of it is
    stride: int  # tiles that begin at multiples of it are computed alike
    bytes_per_pixel: int  # what is held at the worst instant
    unbounded_by: str | None  # why a pixel depends on the whole image, or on its place in it, or why it cannot be told


def trace(run: Callable[[Tensor], Any], channels: int, height: int, width: int, edges: int = 1) -> Trace:
    """Run a module on an image of that size, of which tiles are cut that leave out 0 to ``edges`` − 1 pixels a side."""
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        image = torch.empty(_BATCH, channels, height, width)
        noting = _Noting(image, edges)
        given: Any = None
        try:
            with noting:
                given = run(image)
        except Exception as error:  # whatever the model's own code raises, also of values that it looks at
            # Not its message: that may name a path, and this goes into a bundle.
            noting.give_up(f"code that does not run on shapes alone ({type(error).__name__})")
        found = noting.traced[given] if isinstance(given, Tensor) and given in noting.traced else None
    if found is None or not found.is_image or tuple(given.shape) != tuple(image.shape):
        noting.give_up("an output that is not made of the image, pixel by pixel")
    elif (found.h.scale, found.w.scale) != (1, 1):
        noting.give_up("an output of another resolution")
    return Trace(
        radius=None if found is None or noting.unbounded_by else _radius(found.h, found.w),
        stride=noting.stride,
        bytes_per_pixel=-(-noting.most_bytes // (_BATCH * height * width)),
        unbounded_by=noting.unbounded_by,
    )


def _radius(*axes: Axis) -> int | None:
    """How far from either edge of a tile its pixels are right, at the worst of all tiles."""
    found = 0
    for axis in axes:
        count = len(axis.right)
        for left_out, right in enumerate(axis.right.T):
            # A pixel further in may be wrong again: what counts are those in the middle.
            wrong = np.flatnonzero(~right)
            before, after = wrong[wrong < count // 2], wrong[wrong >= count // 2]
            first = int(before[-1]) + 1 if len(before) else 0
            last = int(after[0]) if len(after) else count
            if last - first < count // 4:
                return None
            found = max(found, first - left_out, count - left_out - last)
    return found


def _of_tiles(count: int, edges: int) -> Axis:
    """Height or width of the image: right are the pixels that a tile has."""
    place, left_out = np.arange(count)[:, None], np.arange(edges)
    return Axis(right=(place >= left_out) & (place < count - left_out), scale=Fraction(1))


class _Noting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, image: Tensor, edges: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        batch, channels, height, width = image.shape
        self.traced = WeakIdKeyDictionary()
        self.uniform = WeakIdKeyDictionary()
        self._held = WeakIdKeyDictionary()
        self.stride, self.most_bytes = 1, 0
        self.unbounded_by: str | None = None
        self._note(
            image,
            Traced(
                dimensions=(plain(batch), plain(channels), (Factor("h", height),), (Factor("w", width),)),
                h=_of_tiles(height, edges),
                w=_of_tiles(width, edges),
            ),
        )

    def give_up(self, reason: str) -> None:
        """The first reason is the cause of what comes after it."""
        self.unbounded_by = self.unbounded_by or reason

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = operator(*args, **kwargs)
        name = operator._schema.name.split("::")[-1]
        if operator._schema.is_mutable and not name.endswith("out"):
            name = name.removesuffix("_")
        for tensor in _tensors(output):
            self._held[tensor] = None
        self.most_bytes = max(self.most_bytes, self._bytes_held())
        if not any(tensor in self.traced for tensor in _tensors((args, kwargs))):
            if name in _UNIFORM or self._is_made_of_uniform(operator, args, kwargs):
                self.uniform.update(dict.fromkeys(_tensors(output)))
            return output
        if self.unbounded_by is None:
            try:
                self._follow(operator, name, _named(operator, args, kwargs), output)
            except Unbounded as unbounded:
                self.give_up(str(unbounded))
        return output

    def _follow(self, operator: Any, name: str, arguments: dict[str, Any], output: Any) -> None:
        tensors = list(_tensors(output))
        if not tensors:  # a question of dtype or device; one of values does not get here
            return
        if name in _UNIFORM:
            self.uniform.update(dict.fromkeys(tensors))
            return
        call = Call(
            name=name,
            arguments=arguments,
            output=output,
            is_pointwise=torch.Tag.pointwise in operator.tags or name in _POINTWISE,
            traced_of=self.traced.get,
            is_uniform=lambda tensor: tensor in self.uniform or tensor.ndim == 0,
        )
        found = outputs_of(call)
        for tensor, traced in zip(tensors, found if isinstance(found, list) else [found] * len(tensors), strict=True):
            if operator._schema.is_mutable and self._is_shared(tensor):
                raise Unbounded("values that are written into a part of a tensor")
            self._note(tensor, traced)

    def _note(self, tensor: Tensor, traced: Traced) -> None:
        self.traced[tensor] = traced
        self._held[tensor] = None
        for axis in (traced.h, traced.w):
            self.stride = lcm(self.stride, axis.scale.numerator)

    def _is_made_of_uniform(self, operator: Any, args: Any, kwargs: Any) -> bool:
        """Such as a map of how much noise there is, where that is the same everywhere, scaled."""
        given = list(_tensors((args, kwargs)))
        return bool(given) and torch.Tag.pointwise in operator.tags and all(t in self.uniform for t in given)

    def _is_shared(self, tensor: Tensor) -> bool:
        """Whether another tensor that is still held has the same memory."""
        memory = tensor.untyped_storage()._cdata
        return any(other is not tensor and other.untyped_storage()._cdata == memory for other in self._held)

    def _bytes_held(self) -> int:
        memories = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in self._held}
        return sum(memories.values())


def _tensors(values: Any) -> Iterator[Tensor]:
    return (value for value in tree_leaves(values) if isinstance(value, Tensor))


def _named(operator: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Arguments by their names in the operator's schema, with its defaults."""
    named = {}
    for at, argument in enumerate(operator._schema.arguments):
        given = args[at] if at < len(args) else kwargs.get(argument.name, argument.default_value)
        named[argument.name] = given
    return named
