"""The entries of which a quantised latent is made."""

from __future__ import annotations

import numpy as np

from aedeploy.bundle import Bundle

_TENSOR = "bottleneck.codebook"


def codebook_of(bundle: Bundle) -> np.ndarray | list[int] | None:
    """Float32 [codes, channels]; or the levels of each channel, of a finite scalar quantisation, which has no table.

    None: the latent is not quantised, or by a model of somebody's own, whose entries are not known here.
    """
    latent = bundle.manifest.latent
    if latent is None or latent.codebook_size is None:
        return None
    model = bundle.manifest.recipe.get("model")
    bottleneck = model.get("bottleneck") if isinstance(model, dict) else None
    levels = bottleneck.get("levels") if isinstance(bottleneck, dict) else None
    if levels:
        return [int(level) for level in levels]
    from safetensors import safe_open

    with safe_open(bundle.file(bundle.manifest.weights), framework="np") as weights:
        if _TENSOR not in weights.keys():  # noqa: SIM118  # it is no mapping
            return None
        codebook: np.ndarray = weights.get_tensor(_TENSOR)
    return codebook.astype(np.float32)
