"""How far a pixel looks, by the operators of a model: against what a change of one pixel really does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import own_networks
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as people write it
from torch import Tensor, nn

from aedeploy.bundle import AnySize, ImageContract, LatentContract
from aedeploy.models.any_size import measure_any_size
from aedeploy.models.build import build_model
from aedeploy.recipes import load_recipe, recipe_names


@dataclass(frozen=True)
class Model:
    """Somebody's, of any size."""

    module: nn.Module
    image: ImageContract
    latent: LatentContract | None = None
    noise: None = None
    encoder_outputs: tuple[str, ...] = ()


def model_of(module: nn.Module, multiple: int = 1, channels: int = 3) -> Model:
    size: dict[str, Any] = {"height": 32, "width": 32, "dynamic_size": True, "multiple_of": multiple}
    mode: Any = "RGB" if channels == 3 else "L"
    image = ImageContract(channels=3 if channels == 3 else 1, mode=mode, minimum=multiple, **size)
    return Model(module.eval(), image)


def measured(module: nn.Module, multiple: int = 1, channels: int = 3) -> AnySize:
    found = measure_any_size(model_of(module, multiple, channels))
    assert found is not None
    return found


def numeric_radius(module: nn.Module, stride: int, side: int, channels: int = 3) -> int:
    """How far a change of a pixel is felt, by running it: of every pixel of one stride in the middle, either way.

    All weights positive and every value far from where an activation is flat, so that no influence is cancelled.
    """
    module = module.double().eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand_like(parameter) * 0.2 + 0.1)
    radius = 0
    for axis in (2, 3):
        shape = [1, channels, 2 * stride * 4, 2 * stride * 4]
        shape[axis] = side
        image = torch.rand(shape, dtype=torch.float64) + 0.5
        middle = side // 2 // stride * stride
        for at in range(middle, middle + stride):
            for amount in (10.0, -0.4):
                changed = image.clone()
                changed.narrow(axis, at, 1).add_(amount)
                with torch.no_grad():
                    felt = (module(changed) != module(image)).flatten(0, 1).any(0)
                rows = felt.any(1 if axis == 2 else 0).nonzero()
                if len(rows):
                    radius = max(radius, int((rows - at).abs().max()))
    return radius


def sequence(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 5, padding=2)
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h += self.wide(h)
        return self.last(F.relu(h, inplace=True))


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.norm, self.out = nn.Conv2d(3, 8, 7, padding=3), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.wide(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class Resized(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode, self.down = mode, nn.Conv2d(3, 4, 3, 2, 1)
        self.out = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.interpolate(self.down(x), size=x.shape[2:], mode=self.mode))


class Unet(nn.Module):
    """A skip connection past what is pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.low = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(x))
        low = F.interpolate(F.relu(self.low(F.max_pool2d(h, 2))), scale_factor=2)
        return self.last(torch.cat([h, low], 1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "convolution": (lambda: sequence(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 5, padding=2)), 1),
    "dilated": (lambda: sequence(nn.Conv2d(3, 3, 3, padding=4, dilation=4, padding_mode="replicate"), nn.GELU()), 1),
    "oblong": (lambda: nn.Conv2d(3, 3, (1, 9), padding=(0, 4)), 1),
    "strided": (lambda: sequence(nn.Conv2d(3, 4, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 2, 1)), 2),
    "odd transposed": (lambda: sequence(nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 3, 3, 2, 1, 1)), 2),
    "patches": (lambda: sequence(nn.Conv2d(3, 8, 4, 4), nn.ConvTranspose2d(8, 3, 4, 4)), 4),
    "pooled": (lambda: sequence(nn.MaxPool2d(4), nn.Conv2d(3, 3, 3, padding=1), nn.Upsample(scale_factor=4)), 4),
    "overlapping pools": (lambda: sequence(nn.AvgPool2d(3, 2, 1), nn.Upsample(scale_factor=2)), 2),
    "bilinear": (lambda: sequence(nn.AvgPool2d(4), nn.Upsample(scale_factor=4, mode="bilinear")), 4),
    "interpolate": (lambda: Resized("bilinear"), 2),
    "nearest-exact": (lambda: Resized("nearest-exact"), 2),
    "shuffle": (lambda: sequence(nn.PixelUnshuffle(4), nn.Conv2d(48, 48, 3, padding=1), nn.PixelShuffle(4)), 4),
    "reflected": (lambda: nn.Conv2d(3, 3, 5, padding=2, padding_mode="reflect"), 1),
    "in place": (InPlace, 1),
    "channels last": (ChannelsLast, 1),
    "U-Net": (Unet, 2),
    "batch norm": (lambda: sequence(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1)), 1),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_radius_is_what_a_run_shows(name: str) -> None:
    make, multiple = NETWORKS[name]
    found = measured(make(), multiple)
    assert found.unbounded_by is None
    assert found.radius is not None
    assert multiple % found.stride == 0
    shown = numeric_radius(make(), multiple, side=multiple * 8 + 2 * multiple * (found.radius // multiple + 2))
    assert shown == found.radius


ANY_SIZE = [name for name in recipe_names() if build_model(load_recipe(name).model, (1, 32, 32)).image.dynamic_size]


# The one for colours takes half a minute, and differs from the grey one in its first and last layers alone.
_SLOW = {"denoiser-color"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in _SLOW else name
        for name in ANY_SIZE
        if name != "upsample-conv"
    ],
)
def test_the_radius_of_a_recipe_is_at_least_what_a_run_shows(name: str) -> None:
    model = build_model(load_recipe(name).model, (1, 32, 32))
    found = measure_any_size(model)
    assert found is not None
    assert found.radius is not None
    assert found.stride == model.image.multiple_of
    # A quantiser and a clamp hide small changes: what stands around them is looked at.
    around = _Told(model.module) if model.noise else _around(model.module)
    side = found.stride * 8 + 2 * found.stride * (found.radius // found.stride + 2)
    shown = numeric_radius(around, found.stride, side, channels=1)
    assert shown == found.radius


def _around(module: Any) -> nn.Module:
    return nn.Sequential(module.trunk, _head(module), module.decoder)


class _Told(nn.Module):
    """What stands around the bottleneck of a model that is told the noise, here as much everywhere."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.trunk, self.decoder = module.trunk, module.decoder

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return self.decoder(*self.trunk(F.pad(image_BCHW, (0, 0, 0, 0, 0, 1), value=0.5)))


def _head(module: Any) -> nn.Module:
    bottleneck = module.bottleneck
    for name in ("head", "mean"):
        if hasattr(bottleneck, name):
            return getattr(bottleneck, name)  # type: ignore[no-any-return]
    return nn.Identity()


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(h * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(h, 1))))


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        return ((tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens).transpose(1, 2).view_as(x)


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        places = torch.linspace(0, 1, x.shape[3]).expand(x.shape[0], 1, *x.shape[2:])
        return self.out(torch.cat([x, places], 1))


class BySize(nn.Module):
    """What it multiplies by is a plain number: no operator shows where that comes from."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.shape[2] + 2 * x.shape[3]) / 1000


class ByBrightest(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.max().item()


class WrittenInto(nn.Module):
    """One half is blurred where it is: a part of a tensor that others hold too."""

    def forward(self, x: Tensor) -> Tensor:
        out = x.clone()
        out[:, :1] += F.avg_pool2d(x[:, :1], 3, 1, 1)
        return out


UNBOUNDED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "group norm": (lambda: sequence(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4), nn.Conv2d(4, 3, 1)), "group norm"),
    "instance norm": (lambda: nn.InstanceNorm2d(3), "the image's own mean and variance"),
    "squeeze and excite": (SqueezeExcite, "over the whole image"),
    "attention": (Attention, "such as attention"),
    "positions": (Positions, "differ from place to place"),
    "aligned corners": (
        lambda: sequence(nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
        "align_corners",
    ),
    "wrapped around": (lambda: nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), "not known how far"),
    "by the size": (BySize, "depends on the size"),
    "by the brightest": (ByBrightest, "over the whole image"),
    "written into": (WrittenInto, "a part of a tensor"),
}


@pytest.mark.parametrize("name", UNBOUNDED)
def test_what_takes_in_the_whole_image_or_counts_places_has_no_radius_and_says_why(name: str) -> None:
    make, reason = UNBOUNDED[name]
    multiple = 2 if name == "aligned corners" else 1
    found = measured(make(), multiple)
    assert found.radius is None
    assert reason in (found.unbounded_by or "")
    assert found.bytes_per_pixel > 0


def test_upsample_conv_is_one_of_these() -> None:
    found = measure_any_size(build_model(load_recipe("upsample-conv").model, (1, 32, 32)))
    assert found is not None
    assert found.radius is None


def test_a_model_of_one_size_has_no_such_figures() -> None:
    assert measure_any_size(build_model(load_recipe("mlp-32").model, (1, 28, 28))) is None


def test_memory_grows_with_the_channels_at_full_size() -> None:
    few, many = (
        measured(sequence(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3, 3, padding=1)))
        for width in (8, 64)
    )
    # A convolution's output and its activation are there at once, of four bytes a value; and the image.
    assert (few.bytes_per_pixel, many.bytes_per_pixel) == (4 * (3 + 2 * 8), 4 * (3 + 2 * 64))


def test_the_model_itself_stays_as_it_was() -> None:
    model = model_of(own_networks.SpatialLatent().train(), 4)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    measure_any_size(model)
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
