"""Images of any size: in tiles they come out as they do whole, seams and borders included."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import AnySize, Bundle, open_bundle
from aedeploy.errors import ConfigError, ImageError
from aedeploy.export import export_bundle
from aedeploy.images.pixels import to_floats
from aedeploy.models.build import build_model
from aedeploy.recipes import load_recipe, recipe_names
from aedeploy.runtime import full_size
from aedeploy.runtime.codec import Codec, load
from aedeploy.runtime.full_size import FullSize, require_any_size, require_tiles, usual_tile
from aedeploy.runtime.told import of_image

#: What docs/any-size.md promises, absolute, of float32 graphs.
TOLERANCE = 1e-5

ANY_SIZE = [name for name in recipe_names() if build_model(load_recipe(name).model, (1, 32, 32)).image.dynamic_size]
# Of one channel, as here, both denoisers are the same model, and it is not a small one.
IN_TILES = [name for name in ANY_SIZE if name not in ("upsample-conv", "denoiser-color")]

Make = Callable[..., Bundle]


def noise(height: int, width: int, channels: int = 1, dtype: Any = np.uint8) -> np.ndarray:
    random = np.random.default_rng(height * 10_000 + width)
    if dtype is np.float32:
        return random.random((height, width, channels), np.float32)
    return random.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype)


def whole(codec: Codec, image: np.ndarray) -> np.ndarray:
    full = FullSize(codec, tile=10_000)
    made = full.reconstruct(image)
    assert not full.cut
    return made


def least_tile(codec: Codec) -> int:
    with pytest.raises(ConfigError) as caught:
        FullSize(codec, tile=1)
    return int(str(caught.value).partition("less than ")[2].split()[0])


@pytest.mark.parametrize("recipe", IN_TILES)
def test_tiles_give_what_the_whole_gives_seams_and_borders_included(bundles: Make, recipe: str) -> None:
    codec = load(bundles(recipe))
    step = codec.bundle.manifest.image.multiple_of
    least = least_tile(codec)
    # Of a model that looks far, the largest would be nothing but slow.
    for tile in (least, least + step + 1, 2 * least)[: 3 if least < 200 else 2]:
        overlap = least - step
        sizes = [
            (tile + 1, 1),  # the least that is cut, and one pixel wide
            (tile + step, 3 * tile),
            (3 * tile + 1, tile // 2),
            (2 * tile - overlap, 2 * tile - overlap),  # two tiles each way, nothing left over
            (2 * tile - overlap + 1, 2 * tile + 7),
        ]
        for height, width in sizes:
            image = noise(height, width)
            full = FullSize(codec, tile=tile)
            made = full.reconstruct(image)
            assert full.cut
            assert (made.dtype, made.shape) == (np.float32, image.shape)
            expected = whole(codec, image)
            assert np.abs(made - expected).max() <= TOLERANCE, (tile, height, width)
            # Bytes are the same but where the figure lies at the very edge between two.
            edge = np.abs((expected * 255) % 1 - 0.5) < 255 * TOLERANCE
            assert (np.rint(made * 255) == np.rint(expected * 255))[~edge].all()


@pytest.mark.parametrize("recipe", ["strided-conv", "vq-vae"])
def test_tiles_that_overlap_by_less_would_show(bundles: Make, recipe: str) -> None:
    codec = load(bundles(recipe))
    image = noise(300, 200)
    full = FullSize(codec, tile=128)
    full._tiling = replace(full._tiling, margin=0)
    assert np.abs(full.reconstruct(image) - whole(codec, image)).max() > 1e-3


@pytest.mark.parametrize("recipe", ANY_SIZE)
def test_an_image_smaller_than_the_model_takes_or_of_no_multiple_keeps_its_size(bundles: Make, recipe: str) -> None:
    codec = load(bundles(recipe))
    for height, width in [(1, 1), (1, 33), (2, 3), (31, 30), (32, 32)]:
        image = noise(height, width)
        made = FullSize(codec, tile=200).reconstruct(image)
        assert made.shape == image.shape
        multiple, least = codec.bundle.manifest.image.multiple_of, codec.bundle.manifest.image.minimum
        rows, columns = (-(-max(length, least) // multiple) * multiple for length in (height, width))
        padded = np.pad(image, ((0, rows - height), (0, columns - width), (0, 0)), mode="edge")
        # Of the image, not of the image and what was added to it.
        noise_of_it = codec.bundle.manifest.noise
        sigma = None if noise_of_it is None else of_image(noise_of_it, image)
        (expected,) = codec.run("autoencoder", padded[None], sigma=sigma).values()
        assert np.abs(made - expected[0].transpose(1, 2, 0)[:height, :width]).max() <= TOLERANCE


@pytest.mark.parametrize("options", [{"format": "torchscript"}, {"backend": "eager"}])
def test_other_engines_give_equal_tiles_too(bundles: Make, options: dict[str, Any]) -> None:
    codec = load(bundles("kl-conv", "onnx", "torchscript"), **options)
    image = noise(217, 150)
    assert np.abs(FullSize(codec, tile=96).reconstruct(image) - whole(codec, image)).max() <= TOLERANCE


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pixels_come_as_bytes_words_or_floats(bundles: Make, dtype: Any) -> None:
    codec = load(bundles("conv", channels=3))
    image = noise(70, 41, 3, dtype)
    made = FullSize(codec, tile=32).reconstruct(image)
    floats = image.transpose(2, 0, 1)[None] if dtype is np.float32 else to_floats(image[None])
    assert np.abs(made - whole(codec, np.ascontiguousarray(floats[0].transpose(1, 2, 0)))).max() <= TOLERANCE


def test_a_graph_of_bytes_gives_bytes(bundles: Make) -> None:
    codec = load(bundles("strided-conv", channels=3, pixels="uint8"))
    image = noise(140, 90, 3)
    made = FullSize(codec, tile=64).reconstruct(image)
    assert (made.dtype, made.shape) == (np.uint8, image.shape)
    assert np.abs(made.astype(int) - whole(codec, image)).max() <= 1
    assert (made == whole(codec, image)).mean() > 0.999


def test_what_is_no_image_of_the_model_is_refused(bundles: Make) -> None:
    full = FullSize(load(bundles("conv")), tile=64)
    for wrong in (noise(8, 8, 3), noise(8, 8)[..., 0], noise(8, 8).astype(np.float64), noise(8, 8)[:0]):
        with pytest.raises(ConfigError, match=r"must be uint8, uint16 or float32 \[H, W, 1\]"):
            full.reconstruct(wrong)


def test_a_model_of_one_size_is_refused(tmp_path: Path) -> None:
    codec = load(write_tiny_bundle(tmp_path / "tiny"))
    for refuse in (require_any_size, require_tiles, FullSize):
        with pytest.raises(ConfigError, match="takes images of 8×8 pixels and no others"):
            refuse(codec)


def test_a_tile_that_is_all_overlap_is_refused(bundles: Make) -> None:
    codec = load(bundles("conv"))
    least = least_tile(codec)
    assert FullSize(codec, tile=least).tile == least
    with pytest.raises(ConfigError, match="give that or more"):
        FullSize(codec, tile=least - 1)


def test_a_model_whose_places_count_goes_whole_or_not_at_all(bundles: Make) -> None:
    codec = load(bundles("upsample-conv"))
    full = FullSize(codec, tile=64)
    assert not full.cuts
    assert full.reconstruct(noise(32, 128)).shape == (32, 128, 1)
    with pytest.raises(
        ImageError, match=r"it has 129×64 pixels, more than 64² in one piece, and the model .*align_corn"
    ):
        full.reconstruct(noise(64, 129))
    with pytest.raises(ConfigError, match=r"--tile: The model .* does not take tiles, because of bilinear resizing"):
        require_tiles(codec)


def test_an_older_bundle_runs_whole_and_an_export_lets_it_be_cut(bundles: Make, tmp_path: Path) -> None:
    folder = shutil.copytree(bundles("conv").path, tmp_path / "older")
    bundle = open_bundle(folder)
    older = bundle.save(bundle.manifest.model_copy(update={"any_size": None}))
    assert older.manifest.digest == bundle.manifest.digest
    codec = load(older)
    assert (FullSize(codec, tile=64).reconstruct(noise(64, 63)) == whole(load(bundle), noise(64, 63))).all()
    with pytest.raises(ImageError, match="before it is exported again"):
        FullSize(codec, tile=64).reconstruct(noise(64, 65))
    with pytest.raises(ConfigError, match="before it is exported again"):
        require_tiles(codec)
    again = export_bundle(older, ["onnx"], parity=False).bundle
    assert again.manifest.any_size == bundle.manifest.any_size
    require_tiles(load(again))


def test_the_usual_tile_is_a_power_of_two_by_the_memory_there_is(
    bundles: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = load(bundles("strided-conv"))
    sides = []
    for available in (0, 2**26, 2**28, 2**30, 2**40):
        monkeypatch.setattr(full_size, "available_memory", lambda available=available: available)
        sides.append(usual_tile(codec))
        assert FullSize(codec).tile == sides[-1]
    assert sides == sorted(sides)
    assert all(side.bit_count() == 1 for side in sides)
    assert (sides[0], sides[-1]) == (128, 2048)
    monkeypatch.setattr(full_size, "available_memory", lambda: 2**28)
    assert usual_tile(codec, workers=4) == sides[1]


def test_the_usual_tile_of_a_far_looking_model_holds_more_than_overlap(
    bundles: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundles("conv")
    far = AnySize(radius=300, stride=2, bytes_per_pixel=100)
    codec = load(Bundle(bundle.path, bundle.manifest.model_copy(update={"any_size": far})))
    monkeypatch.setattr(full_size, "available_memory", lambda: 2**20)
    assert FullSize(codec).tile >= 1200


def test_without_tiles_the_whole_may_be_as_large_as_memory_allows(
    bundles: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_size, "available_memory", lambda: 2**36)
    assert usual_tile(load(bundles("upsample-conv"))) > 4096
