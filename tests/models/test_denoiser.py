"""The backbone ``denoiser``: its sizes, its two forms, and what it makes of being told how much noise there is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from aedeploy.bundle import NoiseContract
from aedeploy.errors import ConfigError
from aedeploy.models.build import BuiltModel, build_model
from aedeploy.models.contract import graph_specs, roles_of


def denoiser(
    image_shape: tuple[int, int, int] = (3, 32, 32), *, latent_dim: int = 6, bottleneck: Any = None, **backbone: Any
) -> BuiltModel:
    """One of 4 channels at a half, and ``latent_dim`` at a quarter, of the size; every part of it does something."""
    table = {
        "latent_dim": latent_dim,
        "output": "linear",
        "backbone": {"name": "denoiser", "channels": [4], "blocks": [1, 1], "up_blocks": [1], **backbone},
        "bottleneck": bottleneck or {"name": "identity"},
    }
    torch.manual_seed(0)
    built = build_model(table, image_shape)
    built.module.eval()
    return built


def grey_middle(height: int, width: int, channels: int = 3, batch: int = 1) -> Tensor:
    """Images far from black and white, where no output is clamped."""
    random = torch.Generator().manual_seed(1)
    return 0.4 + 0.2 * torch.rand(batch, channels, height, width, generator=random)


def sigma(image: Tensor, level: float) -> Tensor:
    return torch.full((len(image), 1, *image.shape[2:]), level)


@pytest.mark.parametrize(
    ("channels", "blocks", "up_blocks", "rule"),
    [([], [1], [], 2), ([4], [0, 1], [0], 4), ([4, 4, 4], [1] * 4, [1] * 3, 16)],
)
def test_every_level_halves_the_size(channels: list[int], blocks: list[int], up_blocks: list[int], rule: int) -> None:
    built = denoiser((1, 5 * rule, 3 * rule), channels=channels, blocks=blocks, up_blocks=up_blocks)
    assert (built.image.multiple_of, built.image.minimum, built.image.dynamic_size) == (rule, rule, True)
    assert built.backbone.latent_shape == (6, 5, 3)
    for height, width in ((rule, rule), (2 * rule, 7 * rule)):
        image = grey_middle(height, width, channels=1)
        with torch.inference_mode():
            assert built.module(image, sigma(image, 25.0)).shape == image.shape


def test_a_size_against_the_rule_is_refused_with_those_that_are_not() -> None:
    with pytest.raises(
        ConfigError, match=r"multiples of 4, and 30×30 is not: take --image-size 28 or 32, or give fewer"
    ):
        denoiser((1, 30, 30))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": [1]}, r"model\.backbone\.blocks has 1 entries, .* it needs 2: one a level\.$"),
        ({"blocks": [1, 1, 1]}, r"blocks has 3 entries"),
        ({"up_blocks": []}, r"up_blocks has 0 entries, .* it needs 1: one a level above the latent\.$"),
        ({"channels": [4, 4]}, r"blocks has 2 entries, and with 2 model\.backbone\.channels .* it needs 3"),
        ({"channels": [0]}, r"'model\.backbone\.channels\.0' cannot be 0"),
        ({"blocks": [-1, 1]}, r"'model\.backbone\.blocks\.0' cannot be -1"),
        ({"max_sigma": 0}, r"'model\.backbone\.max_sigma' cannot be 0"),
        ({"max_sigma": 256}, r"'model\.backbone\.max_sigma' cannot be 256"),
        ({"skip": True}, r"did you mean 'skips'\?"),
    ],
)
def test_tables_that_do_not_fit_each_other_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        denoiser(**settings)


def test_with_skips_it_is_one_graph_of_two_inputs() -> None:
    built = denoiser()
    assert (built.latent, built.encoder_outputs, roles_of(built)) == (None, (), ("autoencoder",))
    assert built.noise == NoiseContract(maximum=55.0)
    (image, told), _ = graph_specs(built, "autoencoder")
    assert (image.name, told.name) == ("image", "sigma")
    assert told.shape == ("batch", 1, "height", "width")
    assert (told.dtype, told.minimum, told.maximum) == ("float32", 0.0, 55.0)


def test_without_skips_all_goes_through_the_latent_and_both_halves_make_the_whole() -> None:
    built = denoiser(skips=False, max_sigma=30.0)
    assert roles_of(built) == ("encoder", "decoder", "autoencoder")
    assert built.latent is not None
    assert built.latent.shape == (6, "latent_height", "latent_width")
    assert [spec.name for spec in graph_specs(built, "encoder")[0]] == ["image", "sigma"]
    assert [spec.name for spec in graph_specs(built, "decoder")[0]] == ["latent"]
    image = grey_middle(16, 24, batch=2)
    told = sigma(image, 20.0)
    with torch.inference_mode():
        latent = built.module.encode(image, told)["latent"]
        assert latent.shape == (2, 6, 4, 6)
        assert torch.equal(built.module.decode(latent), built.module(image, told))
        # Nothing goes around it.
        assert not torch.allclose(built.module.decode(torch.zeros_like(latent)), built.module(image, told), atol=1e-3)


def test_with_skips_it_gives_the_noise_which_is_taken_off_the_image() -> None:
    module = denoiser().module
    last = module.decoder.last
    with torch.no_grad():
        last.weight.zero_()  # type: ignore[union-attr, operator]
        last.bias.fill_(0.125)  # type: ignore[union-attr, operator]
    image = grey_middle(16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(module(image, sigma(image, 25.0)), image - 0.125)


@pytest.mark.parametrize("skips", [True, False])
def test_the_level_makes_a_difference_and_is_a_share_of_the_most(skips: bool) -> None:
    built, other = denoiser(skips=skips), denoiser(skips=skips, max_sigma=110.0)
    image = grey_middle(16, 16)
    with torch.inference_mode():
        at_10, at_50 = (built.module(image, sigma(image, level)) for level in (10.0, 50.0))
        assert (at_10 - at_50).abs().max() > 1e-3
        torch.testing.assert_close(other.module(image, sigma(image, 100.0)), at_50)


@pytest.mark.parametrize("skips", [True, False])
def test_a_map_acts_where_it_is(skips: bool) -> None:
    """Left half quiet, right half noisy: each as if the whole image were, but where one half sees the other."""
    module = denoiser(skips=skips).module
    image = grey_middle(16, 96)
    told = torch.cat([sigma(image[..., :48], 5.0), sigma(image[..., 48:], 50.0)], 3)
    with torch.inference_mode():
        both, quiet, noisy = (module(image, each) for each in (told, sigma(image, 5.0), sigma(image, 50.0)))
    torch.testing.assert_close(both[..., :16], quiet[..., :16], rtol=0, atol=1e-6)
    torch.testing.assert_close(both[..., -16:], noisy[..., -16:], rtol=0, atol=1e-6)
    assert (both - quiet).abs()[..., -16:].max() > 1e-3
    assert (both - noisy).abs()[..., :16].max() > 1e-3


def test_images_of_a_batch_are_told_apart() -> None:
    module = denoiser().module
    image = grey_middle(16, 24).repeat(3, 1, 1, 1)
    told = torch.cat([sigma(image[:1], level) for level in (0.0, 20.0, 55.0)])
    with torch.inference_mode():
        together = module(image, told)
        for at in range(3):
            alone = module(image[at : at + 1], told[at : at + 1])
            torch.testing.assert_close(together[at : at + 1], alone, rtol=1e-5, atol=1e-6)


def test_a_model_that_is_not_told_what_it_must_know_says_so() -> None:
    module = denoiser().module
    with pytest.raises(TypeError, match="told how much noise there is: give it sigma"):
        module(grey_middle(16, 16))


def test_a_bottleneck_of_two_parameters_has_no_room() -> None:
    """With one head for both, mean and variance would be the same number."""
    with pytest.raises(ConfigError, match=r"last level .* needs two parameters for it: take model\.bottleneck\.name"):
        denoiser(skips=False, bottleneck={"name": "gaussian"})
    assert denoiser(skips=False, bottleneck={"name": "vq", "codebook_size": 8}).module.bottleneck.codebook_size == 8
