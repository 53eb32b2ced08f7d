"""Bundles of our fully convolutional recipes, of random weights: enough for everything but quality."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aedeploy.bundle import SCHEMA_VERSION, Bundle, Manifest, open_bundle
from aedeploy.bundle.store import GOLDEN_FILE, WEIGHTS_FILE, record_file, write_manifest
from aedeploy.export import export_bundle
from aedeploy.models.build import build_model
from aedeploy.models.store import provenance, write_model_files
from aedeploy.recipes import load_recipe

Make = Callable[..., Bundle]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Bundles of the fully convolutional recipes, for images of 32×32, of random weights; exported as asked."""
    folder, made = tmp_path_factory.mktemp("any-size"), dict[tuple[Any, ...], Bundle]()

    def make(
        recipe: str, *formats: str, channels: int = 1, pixels: Any = "float32", overrides: tuple[str, ...] = ()
    ) -> Bundle:
        key = (recipe, formats or ("onnx",), channels, pixels, overrides)
        if key not in made:
            bundle = _random_bundle(folder / f"{recipe}-{len(made)}", recipe, channels, overrides)
            made[key] = export_bundle(bundle, key[1], pixels=pixels, parity=False).bundle
        return made[key]

    return make


def _random_bundle(path: Path, name: str, channels: int, overrides: tuple[str, ...]) -> Bundle:
    recipe = load_recipe(name, overrides=overrides)
    torch.manual_seed(0)
    built = build_model(recipe.model, (channels, 32, 32))
    for parameter in built.module.parameters():
        if not parameter.any():  # so that no residual block does nothing
            torch.nn.init.normal_(parameter, std=0.05)
    built.module.eval()
    path.mkdir()
    write_model_files(path, built, torch.randint(0, 256, (4, channels, 32, 32), dtype=torch.uint8))
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
