"""The job denoise by two models: grey images through one, those in colours through the other, in one job."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noisy_images import assert_nearly, in_bytes, noisy, read, words, write
from PIL import Image
from tiny_bundle import write_tiny_bundle
from tiny_denoiser import cleaned, write_tiny_denoiser

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError
from aedeploy.jobs.run import Summary

RunJob = Callable[..., Summary]


def test_grey_and_coloured_images_go_through_a_model_each(
    run: RunJob, grey: Bundle, colour: Bundle, tmp_path: Path
) -> None:
    pixels = noisy(37, 50, 3)
    write(tmp_path / "in/colour.png", pixels)
    write(tmp_path / "in/grey.png", pixels[:, :, :1])
    Image.fromarray(words(20, 30)[:, :, 0]).save(tmp_path / "in/deep.png")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "in/photo.jpg", quality=95)
    Image.fromarray(pixels[:, :, 0]).convert("1").save(tmp_path / "in/black-and-white.png")
    alpha = np.full((37, 50), 128, np.uint8)
    Image.merge("LA", [Image.fromarray(band) for band in (pixels[:, :, 0], alpha)]).save(tmp_path / "in/clear.png")
    Image.fromarray(pixels).quantize(16).save(tmp_path / "in/palette.png")
    summary = run("denoise", bundle=colour, grey_bundle=grey, sigma=20, workers=2, batch_size=3)
    assert (summary.ok, summary.failures) == (7, ())
    assert summary.denoising == {"sigma": 20, "strength": 1.0, "compare": False, "grey_bundle": "grey"}
    out = tmp_path / "out"
    for name, mode in (
        ("colour", "RGB"),
        ("palette", "RGB"),
        ("grey", "L"),
        ("photo", "L"),
        ("black-and-white", "L"),
        ("clear", "LA"),
        ("deep", "I;16"),
    ):
        with Image.open(out / f"{name}.png") as image:
            assert image.mode == mode
    assert_nearly(read(out / "colour.png"), in_bytes(cleaned(pixels, 20)))
    assert_nearly(read(out / "grey.png"), in_bytes(cleaned(pixels[:, :, :1], 20)))
    assert_nearly(read(out / "clear.png")[:, :, :1], in_bytes(cleaned(pixels[:, :, :1], 20)))
    assert np.abs(read(out / "deep.png") - np.rint(cleaned(words(20, 30), 20) * 65535)).max() <= 1


@pytest.mark.parametrize("options", [{"container": "tar"}, {"processes": "always", "workers": 1}, {"workers": 3}])
def test_both_models_work_wherever_the_job_does(
    run: RunJob, grey: Bundle, colour: Bundle, tmp_path: Path, options: dict[str, Any]
) -> None:
    images = {f"{n}.png": noisy(20 + n, 30, 1 if n % 2 else 3, seed=n) for n in range(6)}
    for name, pixels in images.items():
        write(tmp_path / "in" / name, pixels)
    assert run("denoise", bundle=colour, grey_bundle=grey, sigma=20, **options).ok == 6
    out = tmp_path / "out"
    for path in out.glob("*.tar"):
        with tarfile.open(path) as archive:
            archive.extractall(out, filter="data")
    for name, pixels in images.items():
        assert_nearly(read(out / name), in_bytes(cleaned(pixels, 20)))


def test_several_processes_share_the_images_of_both(run: RunJob, grey: Bundle, colour: Bundle, tmp_path: Path) -> None:
    for number in range(8):
        write(tmp_path / f"in/{number}/a.png", noisy(20, 30, 1 if number % 2 else 3))
    pair = {"bundle": colour, "grey_bundle": grey}
    with pytest.raises(ConfigError, match="--shard needs --tile"):
        run("denoise", **pair, part=(0, 2))
    parts = [run("denoise", **pair, part=(number, 2), tile=64) for number in range(2)]
    assert sum(part.ok for part in parts) == 8
    assert run("denoise", **pair, tile=64).skipped == 8


def test_another_sigma_strength_or_model_does_not_go_on(
    run: RunJob, grey: Bundle, colour: Bundle, tmp_path: Path
) -> None:
    write(tmp_path / "in/a.png", noisy(20, 30))
    pair = {"bundle": colour, "grey_bundle": grey}
    asked = {**pair, "sigma": 20.0, "strength": 0.7}
    assert run("denoise", **asked).ok == 1
    assert run("denoise", **asked).skipped == 1
    for change, message in (
        ({"sigma": None}, r"was begun with another --sigma \(20, now auto\)"),
        ({"sigma": 21.5}, r"was begun with another --sigma \(20, now 21\.5\)"),
        ({"strength": 1.0}, r"was begun with another --strength \(0\.7, now 1\)"),
        ({"compare": True}, r"was begun with another choice of --compare \(False, now True\)"),
        ({"grey_bundle": None}, r"was begun with another bundle for grey images"),
        ({"grey_bundle": write_tiny_denoiser(tmp_path / "new", told=False), "sigma": None}, "another --sigma"),
        ({"bundle": grey, "grey_bundle": None}, "was begun with another bundle"),
    ):
        with pytest.raises(ConfigError, match=message):
            run("denoise", **{**asked, **change})
    assert run("denoise", **{**asked, "sigma": None}, overwrite=True).ok == 1


def test_two_models_are_one_of_colours_and_one_of_grey(
    run: RunJob, grey: Bundle, colour: Bundle, tmp_path: Path
) -> None:
    write(tmp_path / "in/a.png", noisy(20, 30))
    for pair in ((grey, colour), (colour, colour), (colour, write_tiny_bundle(tmp_path / "fixed", denoising=True))):
        with pytest.raises(ConfigError, match="is to denoise grey images of any size, and"):
            run("denoise", bundle=pair[0], grey_bundle=pair[1])
