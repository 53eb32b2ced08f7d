"""Bundles of our fully convolutional recipes, of random weights: enough for everything but quality."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from random_bundle import write_random_bundle

from aedeploy.bundle import Bundle
from aedeploy.export import export_bundle
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
            generator = torch.Generator().manual_seed(0)
            samples = torch.randint(0, 256, (4, channels, 32, 32), dtype=torch.uint8, generator=generator)
            path = folder / f"{recipe}-{len(made)}"
            bundle = write_random_bundle(path, load_recipe(recipe, overrides=overrides), samples)
            made[key] = export_bundle(bundle, key[1], pixels=pixels, parity=False).bundle
        return made[key]

    return make
