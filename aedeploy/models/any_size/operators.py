"""One rule for each operator: of what is right in its inputs, what is right in its output.

An operator that is not here makes the reach unknown: a model is cut into tiles only where all of it is understood.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from aedeploy.models.any_size import layouts, places
from aedeploy.models.any_size.call import Call
from aedeploy.models.any_size.reach import Traced, Unbounded, joined, nearest, nearest_centre, plain


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
    return together.like(dimensions[::-1])


def _names(rule: Callable[[Call], Traced | list[Traced]], *names: str) -> dict[str, Callable[[Call], Any]]:
    return dict.fromkeys(names, rule)


_RULES: dict[str, Callable[[Call], Traced | list[Traced]]] = {
    **_names(places.convolution, "convolution", "convolution_overrideable"),
    **_names(places.pool, "max_pool2d", "max_pool2d_with_indices", "avg_pool2d"),
    **_names(lambda call: places.resized_by(call, nearest), "upsample_nearest2d"),
    **_names(lambda call: places.resized_by(call, nearest_centre), "_upsample_nearest_exact2d"),
    **_names(places.bilinear, "upsample_bilinear2d"),
    **_names(places.pad, "constant_pad_nd", "reflection_pad2d", "replication_pad2d"),
    **_names(places.crop, "slice"),
    **_names(places.shuffle, "pixel_shuffle"),
    **_names(places.unshuffle, "pixel_unshuffle"),
    **_names(layouts.same, "clone", "_to_copy", "detach", "alias", "lift_fresh", "contiguous", "channel_shuffle"),
    **_names(layouts.same, "native_channel_shuffle", "native_dropout"),
    **_names(layouts.viewed, "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "flatten"),
    **_names(layouts.unsqueezed, "unsqueeze"),
    **_names(layouts.expanded, "expand"),
    **_names(layouts.permuted, "permute"),
    **_names(layouts.transposed, "transpose", "t"),
    **_names(layouts.selected, "select"),
    **_names(layouts.divided, "split", "split_with_sizes", "chunk"),
    **_names(layouts.unbound, "unbind"),
    **_names(layouts.cat, "cat"),
    **_names(
        layouts.reduced,
        "mean",
        "sum",
        "amax",
        "amin",
        "argmin",
        "argmax",
        "max",
        "min",
        "prod",
        "var",
        "std",
        "var_mean",
    ),
    **_names(
        layouts.reduced, "_softmax", "_log_softmax", "logsumexp", "linalg_vector_norm", "norm", "glu", "topk", "sort"
    ),
    **_names(layouts.batch_norm, "native_batch_norm", "cudnn_batch_norm"),
    **_names(lambda call: call.traced("input"), "_native_batch_norm_legit_no_training"),
    **_names(layouts.layer_norm, "native_layer_norm"),
    **_names(layouts.product, "mm", "addmm", "bmm"),
    **_names(layouts.distances, "_cdist_forward", "_euclidean_dist"),
    **_names(layouts.embedding, "embedding"),
    **_names(layouts.index, "index"),
}
