"""The noise that is estimated is the noise that was put there, and of a clean image there is next to none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aedeploy.images import noise_level
from aedeploy.images.noise_level import estimated_sigma


@pytest.fixture(scope="module")
def bsd68(shared_data: Path) -> list[np.ndarray]:
    """The 68 images, uint8 [H, W]."""
    images = [np.asarray(Image.open(path).convert("L")) for path in sorted((shared_data / "bsd68").glob("*.png"))]
    assert len(images) == 68
    return images


def errors(images: list[np.ndarray], sigma: float, *, clipped: bool) -> np.ndarray:
    """Of each image, by how much the estimate is off, as a share of what is true."""
    found = []
    for number, image in enumerate(images):
        noisy = image + sigma * np.random.default_rng(number).standard_normal(image.shape)
        given = np.rint(noisy).clip(0, 255).astype(np.uint8) if clipped else np.float32(noisy / 255)
        found.append(estimated_sigma(given[:, :, None]))
    return np.array(found) / sigma - 1


def textured(height: int, width: int, channels: int = 1) -> np.ndarray:
    """float64 [H, W, C] in [0, 1], a scene of slopes and edges."""
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    plane = 0.3 + 0.3 * columns + 0.1 * np.sin(9 * rows) + 0.1 * (rows > columns)
    return np.stack([np.roll(plane, 5 * channel, axis=1) for channel in range(channels)], axis=2)


def with_noise(clean: np.ndarray, sigma: float) -> np.ndarray:
    return clean + sigma / 255 * np.random.default_rng(3).standard_normal(clean.shape)


@pytest.mark.parametrize("sigma", [10, 15, 20, 25, 35, 50])
def test_it_is_within_a_tenth_on_every_image_of_bsd68(bsd68: list[np.ndarray], sigma: float) -> None:
    off = errors(bsd68, sigma, clipped=False)
    assert np.abs(off).max() <= 0.1, int(np.abs(off).argmax())
    assert abs(off.mean()) < 0.03


def test_little_noise_is_found_too(bsd68: list[np.ndarray]) -> None:
    off = errors(bsd68, 5, clipped=False)
    assert abs(off.mean()) < 0.02
    assert np.abs(off).max() < 0.15


@pytest.mark.parametrize(("sigma", "most"), [(10, 0.12), (25, 0.2), (50, 0.3)])
def test_bytes_that_clip_it_cost_little_but_where_all_is_black_or_white(
    bsd68: list[np.ndarray], sigma: float, most: float
) -> None:
    off = np.abs(errors(bsd68, sigma, clipped=True))
    assert (off <= 0.1).sum() >= 67  # the other one is a silhouette: of most of its pixels half the noise is cut off
    assert off.max() <= most


def test_of_a_clean_image_there_is_next_to_none(bsd68: list[np.ndarray]) -> None:
    found = [estimated_sigma(image[:, :, None]) for image in bsd68]
    assert max(found) < 2
    assert np.mean(found) < 0.5


@pytest.mark.parametrize("shape", [(120, 90), (700, 500), (20_000, 40), (30, 20_000)])
@pytest.mark.parametrize("sigma", [5.0, 25.0, 50.0])
def test_it_is_found_at_any_size_and_the_same_of_8_and_16_bits_and_floats(shape: tuple[int, int], sigma: float) -> None:
    # Away from black and white, so that nothing is clipped.
    noisy = with_noise(textured(*shape) * 0.1 + 0.45, sigma).clip(0.001, 0.999)
    found = [
        estimated_sigma(given)
        for given in (
            noisy.astype(np.float32),
            np.rint(noisy * 65535).astype(np.uint16),
            np.rint(noisy * 255).astype(np.uint8),
        )
    ]
    assert found[0] == pytest.approx(sigma, rel=0.1)
    assert found[1] == pytest.approx(found[0], rel=0.01)
    assert found[2] == pytest.approx(found[0], rel=0.03)


def test_of_colours_it_is_the_root_of_the_mean_variance() -> None:
    clean = textured(100, 140, 3)
    noisy = np.concatenate([with_noise(clean[:, :, i : i + 1], sigma) for i, sigma in enumerate((10, 20, 30))], axis=2)
    noisy = noisy.astype(np.float32)
    alone = [estimated_sigma(noisy[:, :, i : i + 1]) for i in range(3)]
    assert estimated_sigma(noisy) == pytest.approx(np.sqrt(np.mean(np.square(alone))))
    assert alone == pytest.approx([10, 20, 30], rel=0.1)


def test_where_part_is_clipped_the_rest_tells() -> None:
    clean = textured(200, 200)
    clean[:100] = 0.0
    noisy = np.rint(with_noise(clean, 20).clip(0, 1) * 255).astype(np.uint8)
    assert estimated_sigma(noisy) == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (6, 6), (6, 4000), (7, 7), (7, 8), (9, 300), (300, 7)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_of_too_little_it_is_a_number_all_the_same(shape: tuple[int, int], dtype: Any) -> None:
    white = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    noisy = (with_noise(textured(*shape), 20).clip(0, 1) * white).astype(dtype)
    found = estimated_sigma(noisy)
    assert np.isfinite(found)
    assert 0 <= found < 40
    if min(shape) < 7:
        assert found == 0


@pytest.mark.parametrize("value", [0, 1, 128, 255])
@pytest.mark.parametrize("shape", [(3, 3), (50, 60), (1000, 900)])
def test_of_a_flat_image_there_is_none(value: int, shape: tuple[int, int]) -> None:
    assert estimated_sigma(np.full((*shape, 3), value, np.uint8)) == 0


def test_of_black_and_white_alone_it_is_a_number() -> None:
    random = np.random.default_rng(0)
    for share in (0.001, 0.5, 0.999):
        image = np.where(random.random((90, 90, 1)) < share, 255, 0).astype(np.uint8)
        assert np.isfinite(estimated_sigma(image))
    checkered = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    assert estimated_sigma(checkered) < 1


def test_the_image_may_be_a_view_and_is_left_as_it_is() -> None:
    image = np.rint(with_noise(textured(130, 80, 3), 20).clip(0, 1) * 255).astype(np.uint8)
    turned = np.rot90(image)[::2]
    turned.setflags(write=False)
    assert estimated_sigma(turned) == estimated_sigma(np.ascontiguousarray(turned))


def test_the_bound_on_texture_is_the_quantile_that_it_says() -> None:
    stats = pytest.importorskip("scipy.stats", exc_type=ImportError)
    side = noise_level._SIDE
    units = np.eye(side * side).reshape(-1, side, side)
    across = ((units[:, :, 2:] - units[:, :, :-2]) / 2).reshape(side * side, -1)
    down = ((units[:, 2:] - units[:, :-2]) / 2).reshape(side * side, -1)
    form = across @ across.T + down @ down.T
    rank, trace = np.linalg.matrix_rank(form), np.trace(form)
    expected = stats.gamma.ppf(1 - 1e-6, rank / 2, scale=2 * trace / rank)
    assert pytest.approx(expected, rel=1e-12) == noise_level._TEXTURE


def test_texture_is_that_form_of_each_patch() -> None:
    image = np.random.default_rng(1).random((1, 12, 15), np.float32)
    sums = noise_level._texture(image).reshape(6, 9)
    patch = image[0, 2:9, 3:10].astype(float)
    across, down = (patch[:, 2:] - patch[:, :-2]) / 2, (patch[2:] - patch[:-2]) / 2
    assert sums[2, 3] == pytest.approx((across**2).sum() + (down**2).sum(), rel=1e-5)
