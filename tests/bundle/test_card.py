from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.bundle.card import KEPT_FROM, KEPT_TO, card, kept_in, write_card
from aedeploy.bundle.shipped import COLOUR, GREY, shipped_bundle


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


def test_what_somebody_wrote_between_the_two_lines_stays(bundle: Bundle) -> None:
    write_card(bundle)
    path = bundle.path / "README.md"
    assert kept_in(path.read_text(encoding="utf-8")) == ""
    own = "## What it is not for\n\nFaces – of any kind.\n\n- X-rays"
    path.write_text(path.read_text(encoding="utf-8").replace(KEPT_TO, f"{own}\n{KEPT_TO}"), encoding="utf-8")
    changed = Bundle(bundle.path, bundle.manifest.model_copy(update={"metrics": {"mse": 0.5}}))
    for _ in range(2):
        write_card(changed)
        text = path.read_text(encoding="utf-8")
        assert kept_in(text) == own
        assert text == card(changed.manifest, own)
        assert text.count(KEPT_FROM) == text.count(KEPT_TO) == 1
    assert text.index("# tiny") < text.index(own) < text.index("## What it takes and gives")
    write_card(changed, kept="another")
    assert kept_in(path.read_text(encoding="utf-8")) == "another"


@pytest.mark.parametrize("text", ["", "own words", KEPT_FROM, KEPT_TO, f"{KEPT_TO}\nx\n{KEPT_FROM}"])
def test_a_card_without_both_lines_has_nothing_that_stays(bundle: Bundle, text: str) -> None:
    (bundle.path / "README.md").write_text(text, encoding="utf-8")
    write_card(bundle)
    assert (bundle.path / "README.md").read_text(encoding="utf-8") == card(bundle.manifest)


@pytest.mark.parametrize("name", [GREY, COLOUR])
def test_the_calls_of_a_model_that_is_told_the_noise_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = shipped_bundle(name)
    text = card(bundle.manifest)
    assert (
        "`sigma`, float32 `[batch, 1, height, width]`: its standard deviation at each pixel in levels of 255, 0 to 55"
        in text
    )
    with_aedeploy, alone = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    pixels = np.random.default_rng(0).integers(0, 256, (45, 61, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    (tmp_path / "graphs").symlink_to(bundle.path.resolve() / "graphs")
    monkeypatch.chdir(tmp_path)
    channels = bundle.manifest.image.channels
    names: dict[str, Any] = {}
    exec(with_aedeploy, names)
    assert names["clean"].shape == (45, 61, channels)
    exec(alone, names)
    assert names["clean"].shape == (1, channels, 40, 56)
    # What the graph gives alone is what it gives by way of aedeploy.
    image, sigma = names["image"][0].transpose(1, 2, 0), 25.0
    with_codec = names["ae"].denoise_image(image[:, :, :channels], sigma=sigma)
    assert np.abs(names["clean"][0].transpose(1, 2, 0) - with_codec).max() < 1e-5


def test_what_it_was_trained_on_is_said_as_far_as_it_was_recorded(bundle: Bundle) -> None:
    data = bundle.manifest.provenance.data
    assert data is not None
    recorded = data.model_copy(update={"preparation": "upright, shrunk by 2", "files": ("a.jpg", "b.jpg")})
    text = changed(bundle, provenance=bundle.manifest.provenance.model_copy(update={"data": recorded}))
    assert "- Made of them: upright, shrunk by 2." in text
    assert "- The 2 files are named in `bundle.json`." in text
    assert "Made of them" not in card(bundle.manifest)
