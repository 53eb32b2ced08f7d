"""Each corruption by its statistics, and what must hold for all of them: also that no exported graph has any."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from tiny_pass import needed_settings
from tiny_run import Configure
from torch import Tensor

from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.export import export_bundle
from aedeploy.names import load_named, names_in
from aedeploy.training import train
from aedeploy.training.corruption import CORRUPTIONS, build_corruptions
from aedeploy.training.events import Ended

GREY = torch.full((64, 1, 32, 32), 0.5)
COLOUR = torch.linspace(0.1, 0.9, 16 * 3 * 20 * 24).view(16, 3, 20, 24)
#: By name, with a setting of each, and the pixels' values that it wipes out to.
SINGLE_PIXELS = {"salt-and-pepper": (0.0, 1.0), "pixel-mask": (0.0,)}
SHARES = [*SINGLE_PIXELS, "patch-mask"]


def corrupted(images: Tensor, name: str, **settings: Any) -> Tensor:
    torch.manual_seed(0)
    return build_corruptions({name: settings})(images).image_BCHW


def changed(images: Tensor, found: Tensor) -> Tensor:
    """Which pixels are not what they were: bool [B, H, W]. All channels of one change together, or none."""
    differs = found != images
    assert torch.equal(differs.all(1), differs.any(1))
    return differs.all(1)


def test_gaussian_noise_has_the_mean_and_the_spread_that_it_says() -> None:
    torch.manual_seed(0)
    noise = build_corruptions({"gaussian": {"sigma": 0.2}})(GREY).image_BCHW - GREY
    assert noise.mean().item() == pytest.approx(0.0, abs=4 * 0.2 / math.sqrt(noise.numel()))
    assert noise.std().item() == pytest.approx(0.2, rel=0.01)
    kurtosis = (noise / noise.std()).pow(4).mean().item()
    assert kurtosis == pytest.approx(3.0, abs=0.1)


def test_a_range_is_drawn_for_each_image_and_used_to_its_ends() -> None:
    torch.manual_seed(0)
    corrupted = build_corruptions({"gaussian": {"sigma": [0.1, 0.5]}})(GREY.repeat(8, 1, 1, 1)).image_BCHW
    sigmas = (corrupted - 0.5).flatten(1).std(1)
    assert sigmas.min().item() == pytest.approx(0.1, abs=0.02)
    assert sigmas.max().item() == pytest.approx(0.5, abs=0.03)
    assert sigmas.mean().item() == pytest.approx(0.3, abs=0.03)


def test_noise_goes_beyond_black_and_white() -> None:
    torch.manual_seed(0)
    corrupted = build_corruptions({"gaussian": {"sigma": 0.1}})(torch.zeros(1, 1, 8, 8)).image_BCHW
    assert corrupted.min() < 0.0


def test_no_corruption_is_false_and_changes_nothing() -> None:
    none = build_corruptions({})
    assert not none
    assert none(GREY).image_BCHW is GREY
    assert none(GREY).sigma_B1HW is None
    assert build_corruptions({"gaussian": {"sigma": 0.1}})


def test_the_resolved_table_makes_the_same() -> None:
    for sigma in (0.3, [0.0, 0.5]):
        table = build_corruptions({"gaussian": {"sigma": sigma}}).table
        assert build_corruptions(table).table == table == {"gaussian": {"sigma": sigma}}
    table = build_corruptions({"patch-mask": {"share": [0, 1]}}).table
    assert build_corruptions(table).table == table == {"patch-mask": {"size": 4, "share": [0.0, 1.0], "value": 0.0}}


@pytest.mark.parametrize("name", SINGLE_PIXELS)
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_a_share_of_the_pixels_is_wiped_out_and_no_other_is_touched(name: str, share: float) -> None:
    images = COLOUR.repeat(8, 1, 1, 1)
    found = corrupted(images, name, share=share)
    wiped = changed(images, found)
    spread = math.sqrt(share * (1 - share) / wiped.numel())
    assert wiped.float().mean().item() == pytest.approx(share, abs=4 * spread)
    values = found.movedim(1, -1)[wiped]
    assert values.unique().tolist() == list(SINGLE_PIXELS[name])
    assert (values == values[:, :1]).all()
    # Each image has its own, and neighbours say nothing of each other.
    assert not torch.equal(wiped[0], wiped[1])
    together = (wiped[:, :, 1:] & wiped[:, :, :-1]).float().mean().item()
    assert together == pytest.approx(share**2, abs=0.01)


def test_salt_and_pepper_are_equally_many() -> None:
    found = corrupted(GREY, "salt-and-pepper", share=0.5)
    spread = math.sqrt(0.25 * 0.75 / GREY.numel())
    for value in (0.0, 1.0):
        assert (found == value).float().mean().item() == pytest.approx(0.25, abs=4 * spread)


@pytest.mark.parametrize("name", SHARES)
def test_a_share_of_none_and_of_all(name: str) -> None:
    assert torch.equal(corrupted(COLOUR, name, share=0.0), COLOUR)
    assert changed(COLOUR, corrupted(COLOUR, name, share=1.0)).all()


@pytest.mark.parametrize("name", SHARES)
def test_a_range_of_shares_is_drawn_for_each_image(name: str) -> None:
    images = torch.full((200, 1, 128, 128), 0.5)
    shares = changed(images, corrupted(images, name, share=[0.2, 0.8])).float().mean((1, 2))
    assert shares.min().item() == pytest.approx(0.2, abs=0.06)
    assert shares.max().item() == pytest.approx(0.8, abs=0.06)
    assert shares.mean().item() == pytest.approx(0.5, abs=0.04)
    assert shares.std().item() == pytest.approx(0.6 / math.sqrt(12), abs=0.02)


@pytest.mark.parametrize("name", ["pixel-mask", "patch-mask"])
def test_a_mask_has_the_value_that_one_gives_it(name: str) -> None:
    found = corrupted(COLOUR, name, share=0.5, value=-2.5)
    assert set(found[found != COLOUR].tolist()) == {-2.5}


@pytest.mark.parametrize(("height", "width", "size"), [(20, 24, 4), (20, 23, 6), (5, 3, 8), (7, 7, 1)])
def test_patches_are_wiped_out_whole_and_cut_at_the_borders(height: int, width: int, size: int) -> None:
    images = torch.full((500, 3, height, width), 0.5)
    wiped = changed(images, corrupted(images, "patch-mask", size=size, share=0.3))
    for rows in wiped.split(size, 1):
        for patch in rows.split(size, 2):
            assert torch.equal(patch.flatten(1).all(1), patch.flatten(1).any(1))
    corners = wiped[:, ::size, ::size].float()
    spread = math.sqrt(0.3 * 0.7 / corners.numel())
    assert corners.mean().item() == pytest.approx(0.3, abs=4 * spread)
    assert corners.std(0).min() > 0.0  # every patch is wiped out somewhere, and somewhere not


def test_the_grid_of_patches_is_the_same_but_the_patches_are_not() -> None:
    images = torch.full((2, 1, 32, 32), 0.5)
    first, second = changed(images, corrupted(images, "patch-mask", size=4, share=0.5))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("peak", [4.0, 100.0])
def test_shot_noise_counts_photons(peak: float) -> None:
    for level in (0.2, 1.0):
        images = torch.full((64, 3, 32, 32), level)
        found = corrupted(images, "poisson", peak=peak)
        photons = found * peak
        torch.testing.assert_close(photons, photons.round())
        spread = math.sqrt(level / peak)
        assert found.mean().item() == pytest.approx(level, abs=4 * spread / math.sqrt(found.numel()))
        assert found.std().item() == pytest.approx(spread, rel=0.02)
        channels = torch.corrcoef(found.movedim(1, 0).flatten(1))
        assert (channels - torch.eye(3)).abs().max() < 0.02
    assert found.max() > 1.0


def test_a_range_of_peaks_is_drawn_for_each_image() -> None:
    images = torch.full((400, 1, 48, 48), 1.0)
    peaks = 1.0 / corrupted(images, "poisson", peak=[10, 50]).flatten(1).var(1)
    assert peaks.min().item() == pytest.approx(10, abs=2)
    assert peaks.max().item() == pytest.approx(50, abs=5)
    assert peaks.mean().item() == pytest.approx(30, abs=2.5)


def test_shot_noise_takes_what_is_darker_than_black_as_black() -> None:
    assert torch.equal(corrupted(torch.full((1, 1, 4, 4), -0.5), "poisson", peak=10.0), torch.zeros(1, 1, 4, 4))


def test_corruptions_follow_each_other_in_their_order() -> None:
    """White noise on what was wiped out, or wiped out after the noise."""
    noise, mask = ("gaussian", {"sigma": 0.1}), ("pixel-mask", {"share": 0.5})
    for steps, exact in (((noise, mask), True), ((mask, noise), False)):
        torch.manual_seed(0)
        found = build_corruptions(dict(steps))(GREY).image_BCHW
        assert ((found == 0.0).float().mean().item() > 0.4) is exact


def settings_of(name: str) -> dict[str, Any]:
    return needed_settings(load_named(CORRUPTIONS, name, "corruption").CorruptionConfig)


@pytest.mark.parametrize("name", names_in(CORRUPTIONS))
class TestEveryCorruptionOfTheFolder:
    def test_leaves_its_input_alone_and_gives_the_same_for_a_seed(self, name: str) -> None:
        images = COLOUR.clone()
        torch.manual_seed(3)
        first, second = (build_corruptions({name: settings_of(name)}) for _ in range(2))
        found = first(images).image_BCHW
        assert torch.equal(images, COLOUR)
        assert (found.shape, found.dtype) == (images.shape, torch.float32)
        assert found.isfinite().all()
        assert not torch.equal(found, images)
        assert not torch.equal(found, first(images).image_BCHW)
        torch.manual_seed(3)
        assert torch.equal(second(images).image_BCHW, found)

    def test_is_in_no_exported_graph(self, name: str, configure: Configure) -> None:
        values = {f"corruption.{name}.{key}": json.dumps(value) for key, value in settings_of(name).items()}
        *_, ended = train(configure("training.epochs=1", *(f"{key}={value}" for key, value in values.items())))
        assert isinstance(ended, Ended)
        assert name in ended.bundle.manifest.recipe["corruption"]
        bundle = export_bundle(ended.bundle, ["onnx"]).bundle
        for role in ("encoder", "decoder", "autoencoder"):
            operators = operators_of(bundle.file(bundle.graph(role, "onnx").file))
            assert "Gemm" in operators
            assert not operators & {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
            assert not operators & {"Bernoulli", "Multinomial", "Dropout", "Where"}


def operators_of(path: Path) -> set[str]:
    """All operators of an ONNX file, those of its functions too."""
    model = onnx.load(path)
    return {node.op_type for part in (model.graph, *model.functions) for node in part.node}


@pytest.mark.parametrize("sigma", [-0.1, [0.5, 0.1], [0.1], [0.1, 0.2, 0.3], "much", math.nan, math.inf, [0, math.nan]])
def test_an_impossible_sigma_is_refused(sigma: Any) -> None:
    with pytest.raises(ConfigError, match=r"'corruption.gaussian.sigma' cannot be .* range"):
        build_corruptions({"gaussian": {"sigma": sigma}})


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("share", [-0.1, 1.5, [0.5, 0.1], [0.1], [0.5, 1.1], "half", True, math.nan])
def test_an_impossible_share_is_refused(name: str, share: Any) -> None:
    with pytest.raises(ConfigError, match=rf"'corruption.{name}.share' cannot be .* range"):
        build_corruptions({name: {"share": share}})


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("poisson", {"peak": 0}, "'corruption.poisson.peak' cannot be 0: it is a number above 0, or a range of two"),
        ("poisson", {"peak": [0, 10]}, r"'corruption.poisson.peak' cannot be \[0, 10\]"),
        ("poisson", {}, "'corruption.poisson.peak' is missing"),
        ("patch-mask", {"share": 0.5, "size": 0}, "'corruption.patch-mask.size' cannot be 0"),
        ("pixel-mask", {"share": 0.5, "value": math.inf}, "'corruption.pixel-mask.value' cannot be inf"),
        ("pixel-mask", {"shar": 0.5}, r"did you mean 'share'\?"),
    ],
)
def test_impossible_settings_are_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_corruptions({name: settings})


def test_unknown_names_and_keys_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'gaussian'\?"):
        build_corruptions({"gausian": {"sigma": 0.1}})
    with pytest.raises(ConfigError, match=r"did you mean 'sigma'\?"):
        build_corruptions({"gaussian": {"sigme": 0.1}})
    with pytest.raises(ConfigError, match="must be a table"):
        build_corruptions({"gaussian": 0.1})
