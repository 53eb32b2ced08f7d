"""The convolutional networks of introductory texts, layer by layer."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from aedeploy.errors import ConfigError
from aedeploy.models.build import BuiltModel, build_model
from aedeploy.recipes import load_recipe


def layers(module: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in module.modules() if not list(layer.children())]


def built(
    latent_dim: int = 8, size: tuple[int, int] = (28, 28), bottleneck: str = "identity", **backbone: object
) -> BuiltModel:
    table = {
        "latent_dim": latent_dim,
        "backbone": {"name": "plain-conv", **backbone},
        "bottleneck": {"name": bottleneck},
    }
    model = build_model(table, (1, *size))
    model.module.eval()
    return model


def test_deep_conv_is_what_its_source_builds() -> None:
    model = build_model(load_recipe("deep-conv").model, (1, 28, 28)).module
    assert layers(model.trunk) == ["Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d"] * 3
    assert layers(model.decoder) == ["ConvTranspose2d", "ReLU", "BatchNorm2d"] * 3 + ["Conv2d"]
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [
        (1, 16), (16, 32), (32, 64), (64, 64), (64, 32), (32, 16), (16, 1),
    ]  # fmt: skip
    ups = [layer for layer in convolutions if isinstance(layer, nn.ConvTranspose2d)]
    assert [(up.kernel_size, up.stride, up.padding, up.output_padding) for up in ups] == [
        ((3, 3), (2, 2), (0, 0), (0, 0)),
        ((3, 3), (2, 2), (1, 1), (1, 1)),
        ((3, 3), (2, 2), (1, 1), (1, 1)),
    ]


def test_the_strided_one_halves_by_its_convolutions_and_the_upsampling_one_has_no_transposed() -> None:
    strided = build_model(load_recipe("strided-conv").model, (1, 28, 28)).module
    assert layers(strided.trunk) == ["Conv2d", "ReLU", "BatchNorm2d"] * 3
    assert {layer.stride for layer in strided.trunk.modules() if isinstance(layer, nn.Conv2d)} == {(2, 2)}
    upsampling = build_model(load_recipe("upsample-conv").model, (1, 28, 28)).module
    assert layers(upsampling.decoder) == ["Upsample", "Conv2d", "ReLU", "BatchNorm2d"] * 3 + ["Conv2d"]
    assert all(layer.align_corners for layer in upsampling.decoder.modules() if isinstance(layer, nn.Upsample))


def test_the_smallest_has_a_latent_four_times_the_image() -> None:
    model = build_model(load_recipe("conv").model, (1, 28, 28))
    assert layers(model.module.trunk) == ["Conv2d", "ReLU", "MaxPool2d"]
    assert layers(model.module.decoder) == ["ConvTranspose2d"]
    assert model.backbone.latent_shape == (16, 14, 14)
    assert 16 * 14 * 14 == 4 * 28 * 28


@pytest.mark.parametrize(
    ("down", "up", "size"),
    list(itertools.product(["pool", "stride"], ["transpose", "upsample"], [(28, 28), (32, 48), (28, 32), (12, 20)])),
)
def test_what_goes_in_comes_out_in_its_size(down: str, up: str, size: tuple[int, int]) -> None:
    model = built(size=size, down=down, up=up)
    image = torch.rand(2, 1, *size)
    latent = model.module.encode(image)["latent"]
    assert latent.shape[1:] == model.backbone.latent_shape
    assert model.module.decode(latent).shape == image.shape
    regular = size[0] % 8 == size[1] % 8 == 0
    assert model.backbone.dynamic_size == regular
    if regular:
        other = torch.rand(1, 1, 40, 24)
        assert model.module(other).shape == other.shape


def test_a_head_makes_room_for_a_distribution() -> None:
    model = built(latent_dim=4, head="conv", bottleneck="gaussian", channels=[8, 16])
    assert model.backbone.latent_shape == (4, 7, 7)
    code = model.module.encode(torch.rand(2, 1, 28, 28))
    assert code["logvar"].shape == code["latent"].shape == (2, 4, 7, 7)
    assert not torch.equal(code["logvar"], code["latent"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bottleneck": "gaussian"}, "set model.backbone.head = 'conv'"),
        ({"channels": [], "head": "conv"}, "no stage is left"),
        ({"size": (30, 28)}, r"multiples of 4, and 30×28 is not: take --image-size 28 or 32"),
        ({"up_kernel": 2}, r"multiples of 8, and 28×28 is not"),
        ({"channels": [4, 4, 4, 4], "size": (16, 16), "down": "pool"}, "too small for 5 stages"),
        ({"up_kernel": 4}, "'model.backbone.up_kernel' cannot be 4"),
        ({"chanels": [4]}, r"did you mean 'channels'\?"),
    ],
)
def test_nonsense_is_refused_by_name(given: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(**given)
