"""Finite scalar quantisation: each channel is rounded to one of a few levels (Mentzer et al. 2023, FSQ)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from math import atanh, inf, prod
from operator import mul
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aedeploy.config import Config
from aedeploy.errors import ConfigError
from aedeploy.models import bottlenecks
from aedeploy.models.bottlenecks import Code, LatentKind, Verdict, at_least_float32
from aedeploy.models.bottlenecks.vq import check_spatial

# The paper's ε: the outermost levels are reached by finite numbers.
_MARGIN = 1e-3


class BottleneckConfig(Config):
    """``levels``: of each channel; the paper recommends 5 or more, such as 8, 5, 5, 5 for about 2^10 codes."""

    name: Literal["fsq"] = "fsq"
    # Not strict: of TOML it comes as a list.
    levels: tuple[Annotated[int, Field(ge=2)], ...] = Field(default=(8, 5, 5, 5), strict=False, min_length=1)


class Bottleneck(bottlenecks.Bottleneck):
    """``latent`` = each channel of head(features), bounded and rounded to its levels, which lie evenly in [−1, 1].

    ``indices`` = the levels of all channels as the digits of one number, the first channel's the lowest. The codebook
    is implied: nothing is learned but the head, whose gradient passes the rounding as if it were not there.

    ``continuous`` is the latent between bounding and rounding. The term ``commitment`` takes it, but is of no use: no
    entry is ever further away than half a level, and the paper has none.
    """

    outputs: ClassVar[tuple[str, ...]] = ("latent", "indices")
    quantises: ClassVar[bool] = True
    # By channel, to be broadcast over [B, D, H, W].
    reach: Tensor
    offset: Tensor
    shift: Tensor
    middle: Tensor
    place_value: Tensor

    def __init__(self, config: BottleneckConfig, new_head: Callable[[], nn.Module], latent_dim: int) -> None:
        super().__init__()
        self.head = new_head()
        self.levels = config.levels
        reach = [(levels - 1) * (1.0 + _MARGIN) / 2.0 for levels in self.levels]
        # An even number of levels has none in the middle: half a step brings one there, so that 0 is a code.
        offset = [0.0 if levels % 2 else 0.5 for levels in self.levels]
        shift = [atanh(step / far) for step, far in zip(offset, reach, strict=True)]
        place_value = list(accumulate((1, *self.levels[:-1]), mul))
        self._constant("reach", torch.tensor(reach))
        self._constant("offset", torch.tensor(offset))
        self._constant("shift", torch.tensor(shift))
        self._constant("middle", torch.tensor([float(levels // 2) for levels in self.levels]))
        self._constant("place_value", torch.tensor(place_value))

    @classmethod
    def check(cls, config: BottleneckConfig, latent_dim: int, kind: LatentKind) -> None:
        check_spatial("fsq", kind)
        channels = len(config.levels)
        if channels != latent_dim:
            raise ConfigError(
                f"'model.bottleneck.levels' has {channels} numbers, one for each channel of the latent, and "
                f"model.latent_dim is {latent_dim}: set model.latent_dim = {channels}."
            )
        if prod(config.levels) > 2**63 - 1:
            raise ConfigError(
                "'model.bottleneck.levels' make more codes than an index of 64 bits can name: give fewer."
            )

    @property
    def codebook_size(self) -> int:
        return prod(self.levels)

    def forward(self, features: Tensor) -> Code:
        return self._quantised(self._bounded(features))

    def training_code(self, features: Tensor) -> Code:
        bounded = self._bounded(features)
        return {**self._quantised(bounded.detach()), "continuous": bounded / self.middle}

    def sample(self, code: Code) -> Tensor:
        """The quantised latent, whose gradient goes straight through to the continuous one."""
        return code["continuous"] + (code["latent"] - code["continuous"]).detach()

    def verdict(self, features: Tensor, code: Code) -> Verdict:
        """By how far the channel that is worst off lies beyond the edge of its level, of the width of one."""
        bounded = self._bounded(features)
        known_BHW = (code["indices"] >= 0) & (code["indices"] < self.codebook_size)
        levels = torch.tensor(self.levels, device=bounded.device).view(1, -1, 1, 1)
        digits = torch.where(known_BHW, code["indices"], 0).unsqueeze(1) // self.place_value % levels
        chosen = digits.to(bounded.dtype) - self.middle
        gap = ((bounded - chosen).abs() - 0.5).clamp_min(0.0).amax(1)
        return Verdict(gap=gap.where(known_BHW, inf), latent=chosen / self.middle)

    def _bounded(self, features: Tensor) -> Tensor:
        """In units of levels: between −middle and middle, or one less where their number is even."""
        return torch.tanh(at_least_float32(self.head(features)) + self.shift) * self.reach - self.offset

    def _quantised(self, bounded: Tensor) -> Code:
        rounded = bounded.round()
        digits = (rounded + self.middle).long()
        return {"latent": rounded / self.middle, "indices": (digits * self.place_value).sum(1)}

    def _constant(self, name: str, values: Tensor) -> None:
        # Not part of the weights: the recipe says it all.
        self.register_buffer(name, values.view(1, -1, 1, 1), persistent=False)
