"""The job denoise by models that are told the noise: how much, what is mixed in, and what is written of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from noisy_images import assert_nearly, in_bytes, noisy, read, words, write
from PIL import ExifTags, Image
from tiny_bundle import write_tiny_bundle
from tiny_denoiser import MAXIMUM, cleaned, write_tiny_denoiser

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError
from aedeploy.images.noise_level import estimated_sigma
from aedeploy.jobs.run import Summary

RunJob = Callable[..., Summary]
Denoise = Callable[..., Path]


@pytest.fixture
def denoise(run: RunJob, grey: Bundle, tmp_path: Path) -> Denoise:
    """Run the job by the grey model, or by another; all inputs must come out. Returns the output folder."""

    def denoise(out: str = "out", **options: Any) -> Path:
        summary = run("denoise", out=out, **{"bundle": grey, **options})
        assert summary.failures == ()
        return tmp_path / out

    return denoise


@pytest.mark.parametrize("size", [(16, 16), (40, 52), (37, 50), (1, 9), (90, 33)])
def test_the_model_is_told_the_sigma_that_was_asked_for(
    denoise: Denoise, tmp_path: Path, size: tuple[int, int]
) -> None:
    pixels = write(tmp_path / "in/a.png", noisy(*size))
    for sigma in (0.0, 12.5, MAXIMUM):
        out = denoise(f"out-{sigma}", sigma=sigma, tile=32)
        assert_nearly(read(out / "a.png"), in_bytes(cleaned(pixels, sigma)))
    assert np.array_equal(read(tmp_path / "out-0.0/a.png"), pixels)


def test_auto_estimates_it_for_each_image_and_says_so_in_the_output(denoise: Denoise, tmp_path: Path) -> None:
    images = {name: noisy(48, 64, sigma=sigma) for name, sigma in (("little", 5), ("much", 30), ("too-much", 90))}
    for name, pixels in images.items():
        write(tmp_path / f"in/{name}.png", pixels)
    out = denoise()
    for name, pixels in images.items():
        sigma = min(MAXIMUM, estimated_sigma(pixels))
        assert_nearly(read(out / f"{name}.png"), in_bytes(cleaned(pixels, sigma)))
        with Image.open(out / f"{name}.png") as image:
            assert image.info == {"aedeploy.sigma": f"{sigma:.1f}, estimated"}
    assert estimated_sigma(images["little"]) < 7 < 25 < estimated_sigma(images["much"]) < MAXIMUM
    with Image.open(denoise("told", sigma=12.5) / "much.png") as image:
        assert image.info == {"aedeploy.sigma": "12.5"}


def test_sigma_is_that_of_the_whole_image_and_not_of_a_tile(denoise: Denoise, tmp_path: Path) -> None:
    # All noise is on the left: each tile by itself would be told something else.
    pixels = np.concatenate([noisy(64, 64, sigma=40), noisy(64, 64, sigma=1)], axis=1)
    write(tmp_path / "in/a.png", pixels)
    whole = cleaned(pixels, min(MAXIMUM, estimated_sigma(pixels)))
    for tile in (32, 512):
        assert_nearly(read(denoise(f"tile-{tile}", tile=tile) / "a.png"), in_bytes(whole))


def test_each_of_many_images_at_once_is_told_its_own(denoise: Denoise, tmp_path: Path) -> None:
    images = [write(tmp_path / f"in/{n:02d}.png", noisy(50 + n % 3, 70, sigma=3 * n, seed=n)) for n in range(16)]
    out = denoise(workers=4, batch_size=1, tile=32)
    for number, pixels in enumerate(images):
        sigma = min(MAXIMUM, estimated_sigma(pixels))
        assert_nearly(read(out / f"{number:02d}.png"), in_bytes(cleaned(pixels, sigma)))


@pytest.mark.parametrize("size", [(16, 16), (37, 50)])
def test_strength_mixes_before_anything_is_rounded(denoise: Denoise, tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = write(tmp_path / "in/a.png", noisy(*size))
    clean = cleaned(pixels, 30)
    results = {s: read(denoise(f"at-{s}", sigma=30, strength=s, tile=32) / "a.png") for s in (0.0, 0.5, 0.7, 1.0)}
    plain = read(denoise("plain", sigma=30, tile=32) / "a.png")
    assert np.array_equal(results[0.0], pixels)
    assert np.array_equal(results[1.0], plain)
    assert_nearly(results[0.5], in_bytes((pixels / np.float32(255) + clean) / 2))
    assert_nearly(results[0.7], in_bytes(np.float32(0.3) * pixels / np.float32(255) + np.float32(0.7) * clean))
    # Of what is rounded already, the mean would be half a level off as often as not.
    assert np.count_nonzero(results[0.5] != np.rint((pixels.astype(float) + plain) / 2)) > 0.05 * pixels.size


def test_sixteen_bits_stay_sixteen(denoise: Denoise, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pixels = words(37, 50)
    for number, size in enumerate([(37, 50), (16, 16)]):
        Image.fromarray(pixels[: size[0], : size[1], 0]).save(tmp_path / f"in/{number}.png")
    out = denoise("auto")
    clean = np.rint(cleaned(pixels, estimated_sigma(pixels)) * 65535)
    made = read(out / "0.png")
    assert made.dtype == np.uint16
    assert np.abs(made.astype(int) - clean).max() <= 1
    # In bytes there would be 255 times fewer of them.
    assert len(np.unique(made)) > 1000
    for strength, expected in ((0.0, pixels), (0.5, np.rint((pixels.astype(float) + made) / 2))):
        mixed = read(denoise(f"at-{strength}", strength=strength) / "0.png")
        assert np.abs(mixed.astype(int) - expected).max() <= strength * 2
    strip = read(denoise("strip", compare=True) / "0.png")
    assert np.array_equal(strip, np.concatenate([pixels, made], axis=1))
    assert np.array_equal(read(tmp_path / "strip/1.png")[:, :16], pixels[:16, :16])


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_compare_writes_exactly_the_input_beside_the_output(denoise: Denoise, tmp_path: Path, strength: float) -> None:
    images = {f"{n}.png": noisy(*size, seed=n) for n, size in enumerate([(16, 16), (16, 16), (37, 50), (5, 3)])}
    for name, pixels in images.items():
        write(tmp_path / "in" / name, pixels)
    clean, strips = denoise("clean", strength=strength), denoise("strips", strength=strength, compare=True)
    for name, pixels in images.items():
        assert np.array_equal(read(strips / name), np.concatenate([pixels, read(clean / name)], axis=1))


def test_transparency_and_orientation_come_with_both_halves(run: RunJob, colour: Bundle, tmp_path: Path) -> None:
    pixels, alpha = noisy(24, 40, 3), np.random.default_rng(1).integers(0, 256, (24, 40, 1), dtype=np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    write(tmp_path / "in/a.png", np.concatenate([pixels, alpha], axis=2), exif=exif)
    run("denoise", bundle=colour, compare=True, sigma=10)
    strip, upright = read(tmp_path / "out/a.png"), np.rot90(pixels, -1)
    assert strip.shape == (40, 48, 4)
    assert np.array_equal(strip[:, :24, :3], upright)
    assert_nearly(strip[:, 24:, :3], in_bytes(cleaned(upright, 10)))
    for half in (strip[:, :24, 3:], strip[:, 24:, 3:]):
        assert np.array_equal(half, np.rot90(alpha, -1))


def test_graphs_of_bytes_are_mixed_as_they_round(denoise: Denoise, tmp_path: Path) -> None:
    pixels = write(tmp_path / "in/a.png", noisy(37, 50))
    results = {s: read(denoise(f"at-{s}", pixels="uint8", strength=s, sigma=30) / "a.png") for s in (0.0, 0.5, 1.0)}
    assert np.array_equal(results[0.0], pixels)
    assert_nearly(results[1.0], in_bytes(cleaned(pixels, 30)))
    halves = (pixels.astype(float) + results[1.0]) / 2
    assert np.abs(results[0.5] - halves).max() <= 0.5
    auto = read(denoise("auto", pixels="uint8") / "a.png")
    assert_nearly(auto, in_bytes(cleaned(pixels, estimated_sigma(pixels))))


def test_a_folder_of_an_older_release_goes_on(denoise: Denoise, run: RunJob, grey: Bundle, tmp_path: Path) -> None:
    write(tmp_path / "in/a.png", noisy(20, 30))
    ledger = denoise() / ".aedeploy/ledger.jsonl"
    header, *lines = ledger.read_text().splitlines()
    values = json.loads(header)
    assert not {"sigma", "strength", "compare"} & set(values["fingerprint"])
    for name in ("sigma", "strength", "compare", "grey_bundle"):
        del values["request"][name]
    ledger.write_text("\n".join([json.dumps(values), *lines]) + "\n")
    assert run("denoise", bundle=grey).skipped == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": -1.0}, r"--sigma is the noise's standard deviation in levels of 255, from 0 to 55 .*: -1 is not"),
        ({"sigma": 60.0}, r"from 0 to 55 for bundle 'colour', or auto: 60 is not"),
        ({"sigma": float("nan")}, "nan is not"),
        ({"strength": 2.0}, "--strength lies between 0, which leaves an image as it is, and 1: 2 does not"),
        ({"strength": -0.1}, "-0.1 does not"),
        ({"strength": float("nan")}, "nan does not"),
        ({"size": "model"}, "--size model and --resize bring images to the size of one model"),
        ({"resize": "fit"}, "--size model and --resize bring images to the size of one model"),
        ({"decode": "scaled"}, "--decode scaled is for images that are brought to a model's size"),
        ({"score": True}, "--score is an option of reconstruct, not of denoise"),
        ({"job": "reconstruct", "sigma": 5.0}, "are options of denoise, not of reconstruct"),
        ({"job": "reconstruct", "compare": True, "score": True}, "are options of denoise, not of reconstruct"),
        ({"job": "encode", "grey_bundle": None, "strength": 0.5}, "are options of denoise, not of encode"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    run: RunJob, grey: Bundle, colour: Bundle, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    write(tmp_path / "in/a.png", noisy(20, 30))
    asked = {"job": "denoise", "bundle": colour, "grey_bundle": grey, **options}
    with pytest.raises(ConfigError, match=message):
        run(asked.pop("job"), **asked)
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_told_takes_no_sigma_but_a_strength(run: RunJob, tmp_path: Path) -> None:
    pixels = write(tmp_path / "in/a.png", noisy(37, 50))
    bundle = write_tiny_denoiser(tmp_path / "deaf", told=False)
    with pytest.raises(ConfigError, match="'deaf' is not told how much noise there is: leave out --sigma"):
        run("denoise", bundle=bundle, sigma=20.0)
    summary = run("denoise", bundle=bundle, strength=0.5, compare=True)
    assert summary.denoising == {"sigma": None, "strength": 0.5, "compare": True, "grey_bundle": None}
    halves = in_bytes((pixels / np.float32(255) + cleaned(pixels)) / 2)
    assert_nearly(read(tmp_path / "out/a.png"), np.concatenate([pixels, halves], axis=1))


@pytest.mark.parametrize("size", ["model", "original"])
def test_a_model_of_one_size_mixes_and_compares_at_that_size(run: RunJob, tmp_path: Path, size: str) -> None:
    write(tmp_path / "in/own.png", noisy(8, 8))
    write(tmp_path / "in/other.png", noisy(24, 16, seed=1))
    bundle = write_tiny_bundle(tmp_path / "fixed", denoising=True)
    for out, options in (("clean", {}), ("none", {"strength": 0.0}), ("strip", {"compare": True})):
        assert run("denoise", bundle=bundle, out=out, size=size, **options).ok == 2
    for name in ("own.png", "other.png"):
        before, after, strip = (read(tmp_path / out / name) for out in ("none", "clean", "strip"))
        assert np.array_equal(strip, np.concatenate([before, after], axis=1))
        assert not np.array_equal(before, after)
    assert np.array_equal(read(tmp_path / "none/own.png"), noisy(8, 8))


def test_reconstruct_and_encode_estimate_for_a_model_that_is_told(run: RunJob, tmp_path: Path) -> None:
    bundle = write_tiny_denoiser(tmp_path / "cut", cut=True)
    pixels = write(tmp_path / "in/a.png", noisy(16, 16))
    Image.fromarray(words(16, 16)[:, :, 0]).save(tmp_path / "in/b.png")
    assert run("reconstruct", bundle=bundle).ok == 2
    clean = cleaned(pixels, estimated_sigma(pixels))
    assert_nearly(read(tmp_path / "out/a.png"), in_bytes(clean))
    assert run("encode", bundle=bundle, out="latents").ok == 2
    table = pyarrow.parquet.read_table(tmp_path / "latents/part-00000.parquet")
    latents = [np.array(latent, np.float32).reshape(16, 16, 1) for latent in table["latent"].to_pylist()]
    assert np.abs(latents[0] - clean).max() < 1e-6
    assert np.abs(latents[1] - cleaned(words(16, 16), estimated_sigma(words(16, 16)))).max() < 1e-6
