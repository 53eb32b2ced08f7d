"""Bundles of our own backbone ``denoiser``, small and of random weights: enough for everything but quality.

write_small_denoiser(folder / "whole")                  autoencoder alone: the image goes around the bottleneck
write_small_denoiser(folder / "cut", skips=False)       encoder and decoder too
"""

from __future__ import annotations

from pathlib import Path

import torch
from random_bundle import write_random_bundle

from aedeploy.bundle import Bundle
from aedeploy.recipes import load_recipe

#: Height and width, in training and of the samples; a multiple of 4, by which the model's are.
SIZE = 24

#: What makes the recipe ``denoiser-gray`` small.
SMALL = (
    "model.latent_dim=12",
    "model.backbone.channels=[8]",
    "model.backbone.blocks=[1, 1]",
    "model.backbone.up_blocks=[1]",
)


def write_small_denoiser(path: Path, *, skips: bool = True, channels: int = 1) -> Bundle:
    """Write a bundle without graphs into the new folder ``path``, and open it."""
    recipe = load_recipe("denoiser-gray", overrides=(*SMALL, f"model.backbone.skips={str(skips).lower()}"))
    return write_random_bundle(path, recipe, _photographs(channels))


def _photographs(channels: int) -> torch.Tensor:
    """Slopes of any direction with an edge in them, uint8 [8, channels, SIZE, SIZE]."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    down, across, at = torch.empty(3, 8, channels, 1, 1).uniform_(-1, 1, generator=generator)
    slopes = down * rows + across * columns
    return ((slopes + 0.5 * (slopes > at)) * 60 + 110).clamp(0, 255).to(torch.uint8)
