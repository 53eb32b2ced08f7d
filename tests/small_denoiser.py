"""Bundles of our own backbone ``denoiser``, small and of random weights: enough for everything but quality.

write_small_denoiser(folder / "whole")                  autoencoder alone: the image goes around the bottleneck
write_small_denoiser(folder / "cut", skips=False)       encoder and decoder too
"""

from __future__ import annotations

from pathlib import Path

import torch

from aedeploy.bundle import SCHEMA_VERSION, Bundle, Manifest, open_bundle
from aedeploy.bundle.store import GOLDEN_FILE, WEIGHTS_FILE, record_file, write_manifest
from aedeploy.models.build import build_model
from aedeploy.models.store import provenance, write_model_files
from aedeploy.recipes import load_recipe

#: Height and width, in training and of the samples; a multiple of 4, by which the model's are.
SIZE = 24


def write_small_denoiser(path: Path, *, skips: bool = True, channels: int = 1) -> Bundle:
    """Write a bundle without graphs into the new folder ``path``, and open it."""
    recipe = load_recipe(
        "denoiser-gray",
        overrides=(
            "model.latent_dim=12",
            "model.backbone.channels=[8]",
            "model.backbone.blocks=[1, 1]",
            "model.backbone.up_blocks=[1]",
            f"model.backbone.skips={str(skips).lower()}",
        ),
    )
    torch.manual_seed(0)
    built = build_model(recipe.model, (channels, SIZE, SIZE))
    built.module.eval()
    path.mkdir(parents=True)
    write_model_files(path, built, _photographs(channels))
    write_manifest(
        path,
        Manifest(
            schema_version=SCHEMA_VERSION,
            name=path.name,
            recipe=recipe.as_dict(),
            image=built.image,
            latent=built.latent,
            noise=built.noise,
            weights=record_file(path, WEIGHTS_FILE),
            golden=record_file(path, GOLDEN_FILE),
            metrics={},
            provenance=provenance(release="0", device="cpu", seed=0, data=None),
        ),
    )
    return open_bundle(path)


def _photographs(channels: int) -> torch.Tensor:
    """Slopes of any direction with an edge in them, uint8 [8, channels, SIZE, SIZE]."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    down, across, at = torch.empty(3, 8, channels, 1, 1).uniform_(-1, 1, generator=generator)
    slopes = down * rows + across * columns
    return ((slopes + 0.5 * (slopes > at)) * 60 + 110).clamp(0, 255).to(torch.uint8)
