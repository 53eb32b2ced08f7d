"""The figures of a model, traced on shapes and confirmed by a run."""

from __future__ import annotations

import copy
from math import lcm

import torch
from torch import Tensor, nn

from aedeploy.bundle import AnySize, ImageContract
from aedeploy.models.any_size.trace import Trace, trace
from aedeploy.models.contract import Deployable

#: Sides of the tile on which a model is traced: nothing is computed, so that large ones cost nothing.
_SIDES = (256, 1024, 4096)

#: Of images in [0, 1]: by how much a tile and the whole may differ in rounding, in PyTorch's float32.
_ROUNDING = 1e-4
_SEEDS = (0, 1, 2)

#: The short side of what is run: no less, or what pads by reflection would fail.
_SHORT = 32


def measure_any_size(model: Deployable) -> AnySize | None:
    """How far a pixel of the reconstruction looks, and what a pixel takes in memory; None of a model of one size.

    The model runs as it is, in eval mode; on the CPU, in float32.
    """
    image = model.image
    if not image.dynamic_size:
        return None
    module: nn.Module = copy.deepcopy(model.module).cpu().float().eval()
    if model.noise is not None:
        module = _Told(module, model.noise.maximum)
    found = _traced(module, image)
    reason = found.unbounded_by
    if reason is None and found.radius is None:
        reason = f"a pixel that depends on more than {_SIDES[-1] // 4:,} others in a row"
    elif found.radius is not None and not _is_confirmed(module, image, found.radius, found.stride):
        reason = "an output that depends on the size of the image"
    return AnySize(
        radius=found.radius if reason is None else None,
        unbounded_by=reason,
        stride=found.stride,
        bytes_per_pixel=found.bytes_per_pixel,
    )


class _Told(nn.Module):
    """A model that is told of the same noise in all pixels, as a module of images alone."""

    def __init__(self, model: nn.Module, maximum: float) -> None:
        super().__init__()
        self.model, self.sigma = model, maximum / 2

    def forward(self, image_BCHW: Tensor) -> Tensor:
        batch, _, height, width = image_BCHW.shape
        image: Tensor = self.model(image_BCHW, image_BCHW.new_full((batch, 1, height, width), self.sigma))
        return image


def _traced(module: nn.Module, image: ImageContract) -> Trace:
    """On the smallest tile that shows a pixel that is right. Height and width differ, so that neither is mistaken."""
    step = image.multiple_of
    for side in _SIDES:
        height = max(step * -(-side // step), image.minimum)
        found = trace(module, image.channels, height, height + step)
        if found.radius is not None:
            found = trace(module, image.channels, height, height + step, edges=found.stride)
        if found.radius is not None or found.unbounded_by:
            break
    return found


@torch.no_grad()
def _is_confirmed(module: nn.Module, image: ImageContract, radius: int, stride: int) -> bool:
    """Whether what two tiles give is what the whole gives, by a run on noise: what the trace cannot see shows there."""
    step = lcm(stride, image.multiple_of)
    short = step * -(-max(image.minimum, 2 * step, _SHORT) // step)
    tile = step * -(-max(short, 2 * radius + 2 * step) // step)
    for seed in _SEEDS:
        strip = torch.rand(1, image.channels, tile + step, short, generator=torch.Generator().manual_seed(seed))
        if all(_agrees(module, image_BCHW, tile, step, radius) for image_BCHW in (strip, strip.mT.contiguous())):
            return True
    # More than once: a quantiser may choose otherwise between two that are equally near, seldom enough.
    return False


def _agrees(module: nn.Module, image_BCHW: Tensor, tile: int, step: int, radius: int) -> bool:
    """Of a strip as long as a tile and one step: its first tile and its last against the whole."""
    axis = 2 if image_BCHW.shape[2] > image_BCHW.shape[3] else 3
    whole = module(image_BCHW)
    first = module(image_BCHW.narrow(axis, 0, tile)) - whole.narrow(axis, 0, tile)
    last = module(image_BCHW.narrow(axis, step, tile)) - whole.narrow(axis, step, tile)
    right = (first.narrow(axis, 0, tile - radius), last.narrow(axis, radius, tile - radius))
    return all(bool((difference.abs() <= _ROUNDING).all()) for difference in right)
