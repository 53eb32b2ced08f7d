from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aedeploy.data.idx import read_idx_images
from aedeploy.training.data.image_set import MemoryImages
from aedeploy.training.memory import available_memory
from aedeploy.training.statistics import pixel_statistics


def test_mean_and_spread_by_channel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 5, 4, 3), dtype=np.uint8)
    found = pixel_statistics(MemoryImages.of(pixels))
    assert found.mean == pytest.approx((pixels / 255).mean((0, 1, 2)))
    assert found.std == pytest.approx((pixels / 255).std((0, 1, 2)))


def test_images_of_one_grey_have_a_spread_to_divide_by() -> None:
    found = pixel_statistics(MemoryImages.of(np.full((3, 4, 4, 1), 51, np.uint8)))
    assert found.mean == pytest.approx([0.2])
    assert found.std == pytest.approx([1 / 255])


def test_those_of_mnist_are_the_usual_ones(shared_data: Path) -> None:
    images = MemoryImages.of(read_idx_images(shared_data / "mnist" / "train-images-idx3-ubyte.gz"))
    found = pixel_statistics(images)
    assert found.mean == pytest.approx([0.1307], abs=5e-5)
    assert found.std == pytest.approx([0.3081], abs=5e-5)


def test_some_memory_is_available() -> None:
    assert 1 << 20 < available_memory() < 1 << 50
