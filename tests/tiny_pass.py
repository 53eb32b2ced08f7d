"""Training passes through real models of a few numbers, and settings for whatever a folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

import torch
from pydantic import BaseModel
from torch import Tensor

from aedeploy.models.autoencoder import Autoencoder, TrainingPass
from aedeploy.models.build import build_model


def tiny_model(bottleneck: str | Mapping[str, Any] = "identity", **table: Any) -> Autoencoder:
    """A model of 1×4×4 images with a latent of 2 numbers; ``table`` replaces what stands in [model]."""
    image_shape = table.pop("image_shape", (1, 4, 4))
    parts = {
        "latent_dim": 2,
        "backbone": {"name": "mlp", "hidden": [8]},
        "bottleneck": {"name": bottleneck} if isinstance(bottleneck, str) else bottleneck,
    }
    return build_model({**parts, **table}, image_shape).module


def tiny_pass(
    raw: Tensor,
    target: Tensor,
    *,
    sigmoid: bool = False,
    latent: Tensor | None = None,
    model: Autoencoder | None = None,
    **code: Tensor,
) -> TrainingPass:
    """A pass of which the parts are given; ``latent`` is the code's, and that which the decoder took."""
    latent = torch.zeros(len(raw), 1) if latent is None else latent
    return TrainingPass(
        model=model or tiny_model(image_shape=tuple(target.shape[1:])),
        input=target,
        code={"latent": latent, **code},
        latent=latent,
        raw=raw,
        target=target,
        activate=torch.sigmoid if sigmoid else _same,
    )


def latents_pass(latent: Tensor, **parts: Any) -> TrainingPass:
    """A pass of which only the latents matter: of blank images of one pixel."""
    blank = torch.zeros(len(latent), 1, 1, 1)
    return tiny_pass(blank, blank, latent=latent, **parts)


def needed_settings(config: type[BaseModel]) -> dict[str, Any]:
    """A value for each setting that has no default, as it would come from TOML: small, and valid for most things."""
    return {name: _example(field.annotation) for name, field in config.model_fields.items() if field.is_required()}


def _example(annotation: Any) -> Any:
    if annotation is int:
        return 2
    if get_origin(annotation) is tuple:
        return [4, 4]
    choices = get_args(annotation)
    return choices[0] if choices and isinstance(choices[0], str) else 0.5


def _same(raw: Tensor) -> Tensor:
    return raw
