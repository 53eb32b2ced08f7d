"""The rules of operators that look around: convolutions, pooling, resizing, padding and cropping."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from aedeploy.models.any_size.call import Call
from aedeploy.models.any_size.reach import Axis, Factor, Traced, Unbounded, linear, plain, scattered, windows


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


def convolution(call: Call) -> Traced:
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


def pool(call: Call) -> Traced:
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


def resized_by(call: Call, table: Callable[[int, int], np.ndarray]) -> Traced:
    image, axes = call.image(), []
    for axis, count, asked in zip(
        (image.h, image.w), call.shape[2:], (call["scales_h"], call["scales_w"]), strict=True
    ):
        before = len(axis.right)
        exact = asked is None or Fraction(asked) * before == count
        if not exact or (count % before and before % count):
            raise Unbounded("resizing by a factor that is no whole number")
        axes.append(axis.gathered(table(count, before), Fraction(before, count)))
    return image.resized(call.shape, axes[0], axes[1])


def bilinear(call: Call) -> Traced:
    if call["align_corners"]:
        raise Unbounded("bilinear resizing with align_corners, which reads from other places in an image of other size")
    return resized_by(call, linear)


def pad(call: Call) -> Traced:
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


def crop(call: Call) -> Traced:
    found, at = call.traced("self"), (call["dim"] or 0) % len(call.shape)
    step, size = call["step"] or 1, call.shape[at]
    labels = [factor.label for factor in found.dimensions[at]]
    whole = size == found.length(at)
    if any(labels) and not whole:
        if len(labels) > 1:
            raise call.unbounded()
        start = call["start"] or 0
        start += found.length(at) if start < 0 else 0
        axes = {"h": found.h, "w": found.w}
        axes[labels[0]] = axes[labels[0]].gathered((start + np.arange(size) * step)[:, None], step)
        dimensions = found.with_dimension(at, (Factor(labels[0], size),)).dimensions
        return Traced(dimensions=dimensions, h=axes["h"], w=axes["w"])
    return found if whole else found.with_dimension(at, plain(size))


def shuffle(call: Call) -> Traced:
    image, factor = call.image(), int(call["upscale_factor"])
    axes = [
        a.gathered((np.arange(len(a.right) * factor) // factor)[:, None], Fraction(1, factor)) for a in _axes(image)
    ]
    return image.resized(call.shape, axes[0], axes[1])


def unshuffle(call: Call) -> Traced:
    image, factor = call.image(), int(call["downscale_factor"])
    axes = [a.gathered(windows(len(a.right) // factor, factor, factor, 0, 1), factor) for a in _axes(image)]
    return image.resized(call.shape, axes[0], axes[1])


def _axes(found: Traced) -> tuple[Axis, Axis]:
    return found.h, found.w
