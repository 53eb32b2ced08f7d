"""Bundles of random weights, not exported yet: enough for everything but quality."""

from __future__ import annotations

from pathlib import Path

import torch

from aedeploy.bundle import SCHEMA_VERSION, Bundle, Manifest, open_bundle
from aedeploy.bundle.store import GOLDEN_FILE, WEIGHTS_FILE, record_file, write_manifest
from aedeploy.models.build import build_model
from aedeploy.models.store import provenance, write_model_files
from aedeploy.recipes import Recipe


def write_random_bundle(path: Path, recipe: Recipe, samples: torch.Tensor) -> Bundle:
    """Write a bundle into the new folder ``path``, for images as ``samples``, uint8 [N, C, H, W], and open it."""
    channels, height, width = samples.shape[1:]
    torch.manual_seed(0)
    built = build_model(recipe.model, (channels, height, width))
    for parameter in built.module.parameters():
        if not parameter.any():  # so that no residual block does nothing
            torch.nn.init.normal_(parameter, std=0.05)
    built.module.eval()
    path.mkdir(parents=True)
    write_model_files(path, built, samples)
    manifest = Manifest(
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
    )
    write_manifest(path, manifest)
    return open_bundle(path)
