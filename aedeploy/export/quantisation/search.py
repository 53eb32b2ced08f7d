"""The best plan for a graph, by measurement.

First all layers in int8, by either kind of range. Where images come out too far off, ranges are narrowed, one tensor
after the other: a few large values, which an activation cuts off anyway, may have taken most of the steps. Then the
layers that cost most are left in float32, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import onnx

from aedeploy.bundle.manifest import Role
from aedeploy.export.quantisation.int8 import Plan, layers_of, quantised, quantised_tensors
from aedeploy.export.quantisation.judge import Cost, Judge
from aedeploy.export.quantisation.ranges import METHODS, Ranges
from aedeploy.export.quantisation.walk import Walk
from aedeploy.export.split import Graph

#: dB, by role. What is asked of int8 is 35, on any images. An encoder and a decoder in a row have the errors of
#: both, and those of an encoder come cheaper.
_AIM: dict[Role, float] = {"encoder": 41.0, "decoder": 37.5, "autoencoder": 37.0}

#: dB, of one that is told the noise, below the error that it makes itself of images with a quarter of the most: those
#: are then worse by 0.1 dB, and images with more noise by less.
_BELOW_ITS_OWN = 16.5
_SHARE_OF_NOISE = 0.25

#: dB more, where a graph decides: one choice that falls otherwise makes one image much worse than the mean.
_OF_CHOICES = 1.5

#: The share of indices that may come out otherwise: more than parity allows of a single call would be near.
_DECIDED_OTHERWISE = 0.04

#: By what a range is multiplied, below and above zero, to try it narrower.
_NARROWER = ((0.5, 1.0), (0.25, 1.0), (1.0, 0.7), (0.75, 0.75))

#: dB. A gain that is smaller may be luck.
_LEAST_GAIN = 0.1

Measure = Callable[[Plan], "Found"]
Enough = Callable[["Found"], bool]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A plan, the graph by it, and what that costs."""

    plan: Plan
    model: onnx.ModelProto
    cost: Cost

    @property
    def rank(self) -> tuple[bool, float]:
        """Of two plans the better one ranks higher: few decisions that fall otherwise, then images."""
        return self.cost.otherwise <= _DECIDED_OTHERWISE, self.cost.psnr


def best_plan(model: onnx.ModelProto, ranges: Ranges, judge: Judge, graph: Graph) -> Found:
    """The plan that leaves the fewest layers in float32 of those that are good enough, or else the best one there is.

    ``model``: in float32, with the types of its tensors.
    """
    aim = _aim(graph, judge) + (_OF_CHOICES if Walk(model.graph).chooses() else 0.0)
    layers = frozenset(layers_of(model)[0])

    def measured(plan: Plan) -> Found:
        graph = quantised(model, ranges.by(plan.method), plan)
        return Found(plan=plan, model=graph, cost=judge.cost(graph))

    def enough(found: Found) -> bool:
        return found.rank >= (True, aim)

    tried: list[Found] = []
    # Weights of 7 bits, whose products no x86 can overflow, come first: 8 bits only where 7 cannot be good enough.
    for reduced in (True, False):
        plans = (Plan(layers=layers, method=method, reduced_range=reduced) for method in METHODS)
        start = max((measured(plan) for plan in plans), key=lambda found: found.rank)
        start = narrowed(start, ranges, quantised_tensors(model, start.plan), measured, enough)
        tried += relaxed(start, measured, enough)
        if enough(tried[-1]):
            return tried[-1]
    return max(tried, key=lambda found: found.rank)


def _aim(graph: Graph, judge: Judge) -> float:
    """dB, that a graph's images are to have at the least against those of float32."""
    least = _AIM[graph.role]
    if graph.noise is None:
        return least
    own = judge.own_psnr(_SHARE_OF_NOISE * graph.noise.maximum)
    return max(least, own + _BELOW_ITS_OWN + least - _AIM["autoencoder"])


def narrowed(start: Found, ranges: Ranges, tensors: Iterable[str], measured: Measure, enough: Enough) -> Found:
    """The plan with the ranges of single tensors narrowed where that brings the images nearer, until it is enough."""
    found = start
    for tensor in tensors:
        low, high = ranges.by(start.plan.method)[tensor]
        for below, above in _NARROWER:
            if enough(found):
                return found
            if (below < 1.0 and low >= 0.0) or (above < 1.0 and high <= 0.0):
                continue
            others = tuple(pair for pair in found.plan.narrowed if pair[0] != tensor)
            tried = measured(replace(found.plan, narrowed=(*others, (tensor, (low * below, high * above)))))
            if tried.cost.psnr > found.cost.psnr + _LEAST_GAIN and tried.cost.otherwise <= found.cost.otherwise:
                found = tried
    return found


def relaxed(start: Found, measured: Measure, enough: Enough) -> Iterable[Found]:
    """Plans with one layer after the other in float32, the one that costs most first, until one is good enough.

    Those of them that are not convolutions keep their weights in int8, unless that is too much as well.
    """
    yield start
    if enough(start):
        return
    found = start
    for step in (_without_layer, _with_float_weights):
        names = sorted(start.plan.layers)
        gains = {name: measured(step(found.plan, name)).rank for name in names}
        for name in sorted(names, key=lambda name: gains[name], reverse=True):
            found = measured(step(found.plan, name))
            yield found
            if enough(found):
                return


def _without_layer(plan: Plan, name: str) -> Plan:
    return replace(plan, layers=plan.layers - {name})


def _with_float_weights(plan: Plan, name: str) -> Plan:
    return replace(plan, float_weights=plan.float_weights | {name})
