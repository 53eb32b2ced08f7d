"""Fully connected layers, one image size: flatten, hidden layers, latent, the hidden layers mirrored."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from aedeploy.config import Config
from aedeploy.models.backbones import ACTIVATIONS, Backbone
from aedeploy.models.bottlenecks import LatentKind

Width = Annotated[int, Field(ge=1)]


class BackboneConfig(Config):
    """``hidden``: widths from the image to the latent; the decoder has them in reverse, or its own."""

    name: Literal["mlp"] = "mlp"
    # Not strict: of TOML it comes as a list.
    hidden: tuple[Width, ...] = Field(default=(128,), strict=False)
    decoder_hidden: tuple[Width, ...] | None = Field(
        default=None, strict=False, description="Widths from the latent to the image; hidden, reversed, unless given."
    )
    activation: Literal["relu", "leaky_relu", "elu"] = "relu"
    batch_norm: bool = False
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


def build(config: BackboneConfig, image_shape: tuple[int, int, int], latent_dim: int) -> Backbone:
    """Layers for images of exactly ``image_shape`` (channels, height, width)."""
    pixels = prod(image_shape)
    features = config.hidden[-1] if config.hidden else pixels
    mirrored = tuple(reversed(config.hidden)) if config.decoder_hidden is None else config.decoder_hidden
    return Backbone(
        trunk=nn.Sequential(nn.Flatten(1), *_hidden(config, (pixels, *config.hidden))),
        new_head=lambda: nn.Linear(features, latent_dim),
        decoder=nn.Sequential(
            *_hidden(config, (latent_dim, *mirrored)),
            nn.Linear(mirrored[-1] if mirrored else latent_dim, pixels),
            nn.Unflatten(1, image_shape),
        ),
        latent_shape=(latent_dim,),
    )


def latent_kind(config: BackboneConfig) -> LatentKind:
    """A vector, always."""
    return "vector"


def _hidden(config: BackboneConfig, widths: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), ACTIVATIONS[config.activation]()]
        if config.batch_norm:
            layers.append(nn.BatchNorm1d(after))
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
    return layers
