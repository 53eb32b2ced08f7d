"""Tiny data, tiny recipes: a run of a few steps, in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aedeploy.recipes import Recipe, load_recipe
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest

Configure = Callable[..., TrainConfig]

#: Of 8×8 images: 27 to train on in batches of 8, so 4 steps an epoch, the last of 3 images; 3 held out.
TINY = [
    "model.latent_dim=2",
    "training.epochs=3",
    "training.batch_size=8",
    "training.lr=0.01",
]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Two threads on so little work only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 images of 8×8: smooth random blobs, as ``tiny.npz``."""
    random = np.random.default_rng(0)
    at = np.arange(8)
    centres = random.uniform(1, 7, (30, 2))
    distance = (at[:, None] - centres[:, 0, None, None]) ** 2 + (at[None, :] - centres[:, 1, None, None]) ** 2
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, images=(255 * np.exp(-distance / 6)).astype(np.uint8))
    return path


def tiny_recipe(variant: str = "mlp-32", *overrides: str) -> Recipe:
    """A recipe of the folder, made small."""
    recipe = load_recipe(variant, [*TINY, *overrides])
    if recipe.model["backbone"]["name"] == "mlp":
        recipe = replace(recipe, model={**recipe.model, "backbone": {**recipe.model["backbone"], "hidden": [8]}})
    return recipe


@pytest.fixture
def configure(tiny_data: Path, tmp_path: Path) -> Configure:
    """A configuration of a tiny run into ``tmp_path / "run"``; overrides of the recipe, then fields."""

    def make(*overrides: str, variant: str = "mlp-32", **fields: Any) -> TrainConfig:
        fields = {"out": tmp_path / "run", "data": DataRequest(data=str(tiny_data)), "tick_seconds": 0.0} | fields
        return TrainConfig(recipe=tiny_recipe(variant, *overrides), device="cpu", **fields)

    return make
