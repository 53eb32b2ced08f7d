"""Residual convolutions for any image size: each stage halves height and width and may double the channels.

The first convolution is strided and works on whole-pixel patches, so that no layer but the last runs at full
resolution: that is where an autoencoder on a CPU spends its time.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from aedeploy.config import Config
from aedeploy.models.backbones import ACTIVATIONS, Backbone, check_size
from aedeploy.models.bottlenecks import LatentKind


class BackboneConfig(Config):
    """``stages`` halve the size each; by default as many as leave at least 7 pixels a side, two at the least.

    ``latent``: ``vector`` flattens what is left into ``latent_dim`` numbers and so fixes the image size;
    ``spatial`` keeps ``latent_dim`` channels of height × width, and takes any size that the stages divide.
    """

    name: Literal["conv"] = "conv"
    channels: int = Field(default=16, ge=1, description="Of the first stage.")
    max_channels: int = Field(default=64, ge=1)
    stages: int | None = Field(default=None, ge=1, le=8)
    blocks: int = Field(default=1, ge=0, description="Residual blocks a stage, in encoder and decoder alike.")
    latent: Literal["vector", "spatial"] = "vector"
    activation: Literal["relu", "leaky_relu", "elu"] = "relu"


def build(config: BackboneConfig, image_shape: tuple[int, int, int], latent_dim: int) -> Backbone:
    """Layers for ``image_shape`` (channels, height, width).

    Raises:
        ConfigError: the height or width is not a multiple of 2 to the power of the stages.
    """
    image_channels, height, width = image_shape
    stages = config.stages or _default_stages(config, height, width)
    reduction = 2**stages
    check_size("conv", height, width, reduction, f"with {stages} stages", "set model.backbone.stages lower")
    widths = [min(config.channels * 2**i, config.max_channels) for i in range(stages)]
    trunk = _trunk(config, image_channels, widths)
    expand = _expansion(config, image_channels, widths)
    low = (widths[-1], height // reduction, width // reduction)
    if config.latent == "spatial":
        return Backbone(
            trunk=trunk,
            new_head=lambda: nn.Conv2d(widths[-1], latent_dim, 1),
            decoder=nn.Sequential(nn.Conv2d(latent_dim, widths[-1], 1), *expand),
            latent_shape=(latent_dim, *low[1:]),
            multiple_of=reduction,
            minimum=reduction,
            dynamic_size=True,
        )
    features = low[0] * low[1] * low[2]
    return Backbone(
        trunk=nn.Sequential(trunk, nn.Flatten(1)),
        new_head=lambda: nn.Linear(features, latent_dim),
        decoder=nn.Sequential(nn.Linear(latent_dim, features), nn.Unflatten(1, low), *expand),
        latent_shape=(latent_dim,),
        multiple_of=reduction,
        minimum=reduction,
    )


def latent_kind(config: BackboneConfig) -> LatentKind:
    """As the config says."""
    return config.latent


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))), the pre-activation form of He et al. 2016, without normalisation.

    The second convolution starts at zero, so that a block starts as the identity (Zhang et al. 2019): batch
    statistics are not needed, and nothing in the graph depends on other images of the batch.
    """

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        act = ACTIVATIONS[activation]
        self.body = nn.Sequential(act(), nn.Conv2d(channels, channels, 3, padding=1), act(), last)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out: Tensor = x_BCHW + self.body(x_BCHW)
        return out


def _halving(before: int, after: int) -> nn.Conv2d:
    """A strided convolution that keeps the variance of what comes through a ReLU (He et al. 2015).

    PyTorch's own default shrinks it in every layer, and a deep stack without normalisation then starts on a plateau.
    """
    layer = nn.Conv2d(before, after, 4, stride=2, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # it has one
    return layer


def _doubling(before: int, after: int) -> nn.ConvTranspose2d:
    """Its inverse in size, which keeps the variance too.

    Kernel 4 at stride 2: every output pixel gets the same number of contributions, four from each channel, so no
    checkerboard (Odena et al. 2016), at a fraction of the cost of upsampling followed by a convolution.
    """
    layer = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
    nn.init.normal_(layer.weight, std=sqrt(2 / (4 * before)))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # it has one
    return layer


def _trunk(config: BackboneConfig, image_channels: int, widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip([image_channels, *widths], widths, strict=False):
        layers.append(_halving(before, after))
        layers += [ResidualBlock(after, config.activation) for _ in range(config.blocks)]
        # Between strided convolutions a block ends in a sum: without this, no blocks would mean no non-linearity.
        layers.append(ACTIVATIONS[config.activation]())
    return nn.Sequential(*layers)


def _expansion(config: BackboneConfig, image_channels: int, widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in zip(reversed(widths), [*reversed(widths[:-1]), image_channels], strict=True):
        layers += [ResidualBlock(before, config.activation) for _ in range(config.blocks)]
        layers += [ACTIVATIONS[config.activation](), _doubling(before, after)]
    return layers


def _default_stages(config: BackboneConfig, height: int, width: int) -> int:
    stages = 2
    while min(height, width) // 2 ** (stages + 1) >= 7 and stages < 8 and config.latent == "vector":
        stages += 1
    return stages
