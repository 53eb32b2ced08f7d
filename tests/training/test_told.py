"""A model that is told how much noise there is: what it is told, and what does not go with that."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import Configure, tiny_recipe

from aedeploy.errors import ConfigError
from aedeploy.models.load import load_model
from aedeploy.recipes import load_recipe
from aedeploy.training.corruption import build_corruptions
from aedeploy.training.data.image_set import in_turn
from aedeploy.training.data.open import open_source
from aedeploy.training.data.source import DataRequest
from aedeploy.training.events import Ended
from aedeploy.training.run import train
from aedeploy.training.validity import check_recipe

GREY = torch.full((48, 1, 64, 64), 0.5)
COLOUR = torch.full((48, 3, 48, 32), 0.5)


@pytest.mark.parametrize("images", [GREY, COLOUR])
@pytest.mark.parametrize("sigma", [0.1, [0.02, 0.2]])
def test_the_map_says_how_much_noise_each_image_really_has(images: torch.Tensor, sigma: Any) -> None:
    torch.manual_seed(0)
    noisy, told = build_corruptions({"gaussian": {"sigma": sigma}}, 55.0)(images)
    assert told is not None
    assert (told.shape, told.dtype) == ((len(images), 1, *images.shape[2:]), torch.float32)
    levels = told.flatten(1)
    assert torch.equal(levels, levels[:, :1].expand_as(levels))
    found = 255.0 * (noisy - images).flatten(1).std(1)
    # Of 4,096 pixels and more, a deviation is known to about 1.1 %.
    torch.testing.assert_close(found, levels[:, 0], rtol=0.05, atol=0)
    if sigma == 0.1:
        torch.testing.assert_close(levels, torch.full_like(levels, 25.5))
    else:
        assert (levels[:, 0].min(), levels[:, 0].max()) == (pytest.approx(5.1, abs=4), pytest.approx(51, abs=4))
        assert len(levels[:, 0].unique()) == len(images)


def test_without_noise_the_map_is_zero_and_who_is_not_told_has_none() -> None:
    told = build_corruptions({"gaussian": {"sigma": 0.1}}, 55.0)
    image, sigma = told.none_at_all(COLOUR)
    assert image is COLOUR
    assert sigma is not None
    assert torch.equal(sigma, torch.zeros(48, 1, 48, 32))
    untold = build_corruptions({"gaussian": {"sigma": 0.1}})
    assert untold.none_at_all(COLOUR).sigma_B1HW is None
    assert untold(COLOUR).sigma_B1HW is None


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"salt-and-pepper": {"share": 0.1}},
        {"gaussian": {"sigma": 0.1}, "pixel-mask": {"share": 0.1}},
        {"poisson": {"peak": 30}},
    ],
)
def test_only_gaussian_noise_has_one_number_to_tell(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"so \[corruption\.gaussian\] must be in the recipe, and no other"):
        build_corruptions(table, 55.0)


def test_more_noise_than_can_be_told_is_refused() -> None:
    for sigma in (55 / 255, [0.0, 0.21568627], [0, 0]):
        build_corruptions({"gaussian": {"sigma": sigma}}, 55.0)
    for sigma in (56 / 255, [0.0, 56 / 255]):
        with pytest.raises(
            ConfigError, match=r"goes up to 56 levels of 255, and model\.backbone\.max_sigma is 55: raise"
        ):
            build_corruptions({"gaussian": {"sigma": sigma}}, 55.0)
    with pytest.raises(ConfigError, match=r"max_sigma is 30: raise that one, or lower this"):
        check_recipe(load_recipe("denoiser-gray", ["model.backbone.max_sigma=30"]))


SIGMOID = ["model.output=sigmoid", "objective.reconstruction.loss=bce"]


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (['model.bottleneck={name="vq", codebook_size=8}'], r"model\.bottleneck\.name must be 'identity' and not 'vq'"),
        (["model.normalisation=standard"], r"model\.normalisation must be 'none' and not 'standard'"),
        (SIGMOID, r"model\.output must be 'linear' and not 'sigmoid'"),
    ],
)
def test_what_would_take_a_part_of_an_image_for_the_whole_is_refused(overrides: list[str], named: str) -> None:
    """With skips; without them all of these are possible."""
    with pytest.raises(
        ConfigError, match=rf"goes around the bottleneck, so {named}: .* model\.backbone\.skips = false"
    ):
        check_recipe(load_recipe("denoiser-gray", overrides))
    check_recipe(load_recipe("denoiser-gray", [*overrides, "model.backbone.skips=false"]))


def test_a_method_that_tells_nothing_is_refused() -> None:
    bound = [*SIGMOID, "model.bottleneck.name=gaussian", "objective.kl.weight=1"]
    overrides = [*bound, "model.backbone.skips=false", "training.method.name=importance-weighted"]
    with pytest.raises(ConfigError, match=r"'importance-weighted' does not tell a model how much noise there is"):
        check_recipe(load_recipe("denoiser-gray", overrides))


def test_a_term_that_runs_the_encoder_by_itself_is_refused() -> None:
    for skips in ("true", "false"):
        overrides = ["objective.contractive.weight=0.1", f"model.backbone.skips={skips}"]
        with pytest.raises(ConfigError, match=r"'contractive' is of a latent that is made of the image alone"):
            check_recipe(load_recipe("denoiser-gray", overrides))


@pytest.mark.parametrize("skips", ["true", "false"])
def test_figures_are_without_noise_and_over_the_whole_range_of_it(
    configure: Configure, tiny_photographs: Path, skips: str
) -> None:
    """``psnr``: of clean images, told that they are; ``denoised_psnr``: of noisy ones, each told its own level."""
    config = configure(f"model.backbone.skips={skips}", "training.epochs=1", variant="denoiser-gray")
    *_, ended = train(config)
    assert isinstance(ended, Ended)
    model, found = load_model(ended.bundle).module, ended.metrics
    recipe = check_recipe(config.recipe)
    held_out = open_source(DataRequest(data=str(tiny_photographs)), recipe.training.patches).load().held_out
    (images,) = held_out.batches(in_turn(len(held_out), 1000))
    clean = images / 255
    with torch.inference_mode():
        mse = (model(clean, torch.zeros(len(clean), 1, 16, 16)) - clean).square().mean().item()
    assert found["psnr"] == pytest.approx(-10 * math.log10(mse), rel=1e-4)
    # Of σ evenly drawn from 0 to s, the mean of σ² is s² / 3.
    assert found["noisy_mse"] == pytest.approx((55 / 255) ** 2 / 3, rel=0.4)
    assert found["denoised_psnr"] != pytest.approx(found["psnr"], rel=1e-3)
    assert ended.bundle.manifest.noise is not None
    assert ended.bundle.manifest.noise.maximum == 55.0
    assert (ended.bundle.manifest.latent is None) == (skips == "true")


def test_it_learns_to_use_what_it_is_told(configure: Configure) -> None:
    """After some epochs: better than the noise, and better told the truth than told something else."""
    given = ["training.epochs=60", "training.lr=0.01", "training.precision=float32", "training.patches.count=64"]
    *_, ended = train(configure(*given, "training.ema=0.9", variant="denoiser-gray", tick_seconds=60.0))
    assert isinstance(ended, Ended)
    found = ended.metrics
    assert found["denoised_mse"] < 0.5 * found["noisy_mse"]  # type: ignore[operator]
    model = load_model(ended.bundle).module
    clean = torch.full((8, 1, 32, 32), 0.5)
    for level, lie in ((40.0, 5.0), (2.0, 50.0)):
        noisy, told = build_corruptions({"gaussian": {"sigma": level / 255}}, 55.0)(clean)
        assert told is not None
        with torch.inference_mode():
            right, wrong = (model(noisy, sigma) for sigma in (told, torch.full_like(told, lie)))
        assert (right - clean).square().mean() < (wrong - clean).square().mean()


def test_a_batch_in_pieces_is_the_same_batch(configure: Configure) -> None:
    exact = ["training.precision=float32", "training.weights=float32", "training.optimizer=sgd", "training.epochs=1"]
    found = {}
    for pieces in (1, 3):
        config = configure(
            *exact,
            "corruption.gaussian.sigma=0.0",
            f"training.accumulate={pieces}",
            variant="denoiser-color",
            overwrite=pieces > 1,
        )
        list(train(config))
        found[pieces] = load_file(config.out / "weights.safetensors")
    for name, value in found[1].items():
        torch.testing.assert_close(found[3][name], value, rtol=1e-4, atol=1e-5)


def test_the_recipes_of_denoisers_are_told_all_that_they_are_trained_on() -> None:
    for variant in ("denoiser-gray", "denoiser-color"):
        checked = check_recipe(tiny_recipe(variant))
        assert checked.corruptions.told
        assert checked.training.patches is not None
