from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.bundle.card import card, write_card


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny", gaussian=True)


def changed(bundle: Bundle, **changes: object) -> str:
    return card(bundle.manifest.model_copy(update=changes))


def test_it_says_what_goes_in_and_what_comes_out(bundle: Bundle) -> None:
    text = card(bundle.manifest)
    assert text.startswith("# tiny\n")
    assert "- Image: grey, 8×8;" in text
    assert "float32 `[batch, 16]`; the mean of a gaussian, whose `logvar` the encoder gives too" in text
    for graph in bundle.manifest.graphs:
        assert f"`{graph.file.path}`" in text
    assert "`image` float32 [batch, 1, 8, 8] → `latent` float32 [batch, 16], `logvar` float32 [batch, 16]" in text
    assert "opset 20" in text


def test_the_commands_in_it_are_those_that_fit(bundle: Bundle) -> None:
    assert "aedeploy reconstruct photos/" in card(bundle.manifest)
    assert "aedeploy export" not in card(bundle.manifest)
    denoiser = changed(bundle, recipe={"name": "denoising", "corruption": {"gaussian": {"sigma": 0.1}}}, graphs=())
    assert "aedeploy denoise photos/" in denoiser
    assert "aedeploy export tiny --format onnx" in denoiser
    assert "None exported yet." in denoiser


def test_figures_that_are_not_there_are_dashes(bundle: Bundle) -> None:
    text = changed(bundle, metrics={"mse": 0.0123456789, "psnr": None, "best_epoch": 7, "loss_kl": 3.0})
    assert "| mse | 0.012346 | mean squared error of a pixel in [0, 1] |" in text
    assert "| psnr | – |" in text
    assert "| best_epoch | 7 |" in text
    assert "| loss_kl | 3 | the term kl of the loss, before its weight |" in text


def test_a_model_that_cannot_be_cut_and_one_of_any_size(bundle: Bundle) -> None:
    assert "cannot be cut into encoder and decoder" in changed(bundle, latent=None)
    image = bundle.manifest.image.model_copy(update={"dynamic_size": True, "multiple_of": 4, "minimum": 8})
    assert "multiples of 4, 8 at the least; trained at 8×8" in changed(bundle, image=image)


def test_it_is_written_into_the_bundle_and_every_table_is_whole(bundle: Bundle) -> None:
    write_card(bundle)
    text = (bundle.path / "README.md").read_text(encoding="utf-8")
    assert text == card(bundle.manifest)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
