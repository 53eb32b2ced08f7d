"""Tiny data, and the configuration of tiny runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recipe_questions import trains_on_patches
from tiny_photographs import write_photographs
from tiny_run import Configure, tiny_recipe

from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest


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


@pytest.fixture(scope="session")
def tiny_photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six photographs of 48×40, one of which is held out."""
    return write_photographs(tmp_path_factory.mktemp("data") / "photographs", 6, 48, 40)


@pytest.fixture
def configure(tiny_data: Path, tiny_photographs: Path, tmp_path: Path) -> Configure:
    """A configuration of a tiny run into ``tmp_path / "run"``; overrides of the recipe, then fields."""

    def make(*overrides: str, variant: str = "mlp-32", **fields: Any) -> TrainConfig:
        recipe = tiny_recipe(variant, *overrides)
        data = tiny_photographs if trains_on_patches(recipe) else tiny_data
        fields = {"out": tmp_path / "run", "data": DataRequest(data=str(data)), "tick_seconds": 0.0} | fields
        return TrainConfig(recipe=recipe, device="cpu", **fields)

    return make
