"""What the tests of pictures share: subjects of a model that NumPy can do again, and images to look at it with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import smooth_patterns, write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.pictures import Picture, Subject
from aedeploy.pictures.grid import cell

SubjectOf = Callable[..., Subject]


class LowPass:
    """What the model of tests/tiny_bundle.py does, in float64."""

    def __init__(self, channels: int = 1, size: int = 8, patterns: int = 4) -> None:
        self.basis = smooth_patterns(size, patterns, channels).astype(np.float64)
        self.shape = (channels, size, size)

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, C] to latents, [N, D]."""
        return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1) / 255.0 @ self.basis

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Latents, [N, D], to levels of 255 that are not rounded: float64 [N, H, W, C]."""
        images = np.clip(latents @ self.basis.T, 0.0, 1.0).reshape(-1, *self.shape)
        return 255.0 * images.transpose(0, 2, 3, 1)


@pytest.fixture
def low_pass() -> LowPass:
    """The grey one of 8×8 pixels."""
    return LowPass()


@pytest.fixture
def images_of() -> Callable[..., np.ndarray]:
    """Images that are all different: uint8 [count, 8, 8, channels], smooth but for some noise."""

    def make(number: int, channels: int = 1, seed: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed)
        slopes = np.einsum("nkc,khw->nhwc", random.uniform(-1, 1, (number, 2, channels)), np.mgrid[-1:1:8j, -1:1:8j])
        noisy = 128 + 60 * slopes + random.normal(0, 10, (number, 8, 8, channels))
        return np.clip(noisy, 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def subject_of(tmp_path: Path) -> SubjectOf:
    """A subject of images, uint8 [N, H, W, C], with labels or without, and of a bundle: one that is given, or a tiny
    one, made with the rest of the arguments, that says of itself whatever ``recipe`` has.
    """
    numbers = count()

    def make(
        pixels: np.ndarray,
        labels: Sequence[str] | None = None,
        *,
        bundle: Bundle | None = None,
        recipe: dict[str, Any] | None = None,
        history: Sequence[dict[str, Any] | str] | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        **tiny: Any,
    ) -> Subject:
        folder = tmp_path / str(next(numbers))
        if bundle is None:
            mode = "L" if pixels.shape[3] == 1 else "RGB"
            bundle = write_tiny_bundle(folder / "tiny", **({"mode": mode} | tiny))
        if recipe is not None:
            bundle = bundle.save(bundle.manifest.model_copy(update={"recipe": bundle.manifest.recipe | recipe}))
        if history is not None:
            lines = [line if isinstance(line, str) else json.dumps(line) for line in history]
            (bundle.path / "history.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        folder.mkdir(exist_ok=True)
        arrays = {"images": pixels} if labels is None else {"images": pixels, "labels": np.array(labels)}
        np.savez(folder / "images.npz", **arrays)
        return Subject(bundle, data=str(folder / "images.npz"), seed=seed, **(options or {}))

    return make


@pytest.fixture
def cells() -> Callable[..., np.ndarray]:
    """The images of a row of a picture's grid, uint8 [columns, H, W, 4], as they are drawn."""

    def read(picture: Picture, row: int, columns: int, shape: tuple[int, int, int], axes: int = 0) -> np.ndarray:
        drawn = np.asarray(picture.figure.axes[axes].images[0].get_array())
        return np.stack([cell(drawn, row, column, shape) for column in range(columns)])

    return read


#: A KL in the objective: training brought the latents to N(0, I).
PRIOR = {"objective": {"kl": {"weight": 1.0}}}


@pytest.fixture
def prior() -> dict[str, Any]:
    """The part of a recipe that says that training brought the latents to N(0, I)."""
    return PRIOR


def epoch(number: int, **values: Any) -> dict[str, Any]:
    """A line of history.jsonl."""
    return {
        "epoch": number,
        "phase": "train",
        "train_loss": 1.0 / number,
        "train_parts": {"reconstruction": 1.0 / number},
        "held_out_loss": 1.2 / number,
        "held_out_parts": {"reconstruction": 1.2 / number},
        "best": True,
        "lr": 1e-3,
        "seconds": 1.0,
        "images_per_second": 1.0,
    } | values


@pytest.fixture
def an_epoch() -> Callable[..., dict[str, Any]]:
    """A line of history.jsonl, some of its values replaced."""
    return epoch


@pytest.fixture
def network_of(tmp_path: Path) -> Callable[..., Bundle]:
    """A bundle of a recipe of ours, of random weights and without graphs, for images of 16×16."""

    def make(name: str, *overrides: str, channels: int = 1) -> Bundle:
        import torch
        from random_bundle import write_random_bundle

        from aedeploy.recipes import load_recipe

        samples = torch.randint(0, 256, (8, channels, 16, 16), generator=torch.Generator().manual_seed(0))
        recipe = load_recipe(name, overrides)
        return write_random_bundle(tmp_path / "networks" / name, recipe, samples.to(torch.uint8))

    return make
