"""A fully convolutional residual autoencoder that takes noise out of images of any size, made for the CPU.

No layer with weights works at full resolution but the first, which halves it, and nothing is normalised by statistics:
convolutions of few channels are what a CPU computes best. How much noise there is, it is told: the level is one more
channel of the input, a map (Zhang et al. 2018, FFDNet), so that one model serves them all and a map may differ from
place to place. With ``skips`` it gives the noise, which is subtracted from the image (Zhang et al. 2017, DnCNN), and
every halving is bridged (Ronneberger et al. 2015): then it cannot be cut into an encoder and a decoder.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from aedeploy.config import Config
from aedeploy.errors import ConfigError
from aedeploy.models.backbones import Backbone, check_size, one_identity_head
from aedeploy.models.bottlenecks import LatentKind

Width = Annotated[int, Field(ge=1)]
Blocks = Annotated[int, Field(ge=0)]


class BackboneConfig(Config):
    """``channels``: of the levels at a half, a quarter, … of the size; one more level has ``latent_dim`` of them.

    ``blocks``: residual blocks of each level on the way down, the last level's included; ``up_blocks``: on the way up.
    """

    name: Literal["denoiser"] = "denoiser"
    # Not strict: of TOML they come as lists.
    channels: tuple[Width, ...] = Field(default=(32,), strict=False)
    blocks: tuple[Blocks, ...] = Field(default=(1, 3), strict=False)
    up_blocks: tuple[Blocks, ...] = Field(default=(1,), strict=False)
    skips: bool = Field(default=True, description="Off: all goes through the latent, and the model can be cut.")
    max_sigma: float = Field(
        default=55.0, gt=0.0, le=255.0, description="The most noise that it is told of, in levels of 255."
    )


def build(config: BackboneConfig, image_shape: tuple[int, int, int], latent_dim: int) -> Backbone:
    """Layers for ``image_shape`` (channels, height, width).

    Raises:
        ConfigError: the tables do not have an entry for every level, or the height or width breaks the size rule.
    """
    image_channels, height, width = image_shape
    widths = (*config.channels, latent_dim)
    levels = len(widths)
    for name, given, needed in (("blocks", config.blocks, levels), ("up_blocks", config.up_blocks, levels - 1)):
        if len(given) != needed:
            raise ConfigError(
                f"model.backbone.{name} has {len(given)} entries, and with {levels - 1} model.backbone.channels and "
                f"the latent's it needs {needed}: one a level{' above the latent' if name == 'up_blocks' else ''}."
            )
    rule = 2**levels
    check_size("denoiser", height, width, rule, f"with {levels} levels", "give fewer model.backbone.channels")
    return Backbone(
        trunk=_Trunk(image_channels, widths, config),
        new_head=one_identity_head(
            "The last level of the backbone 'denoiser' is the latent", "take model.bottleneck.name = 'identity'"
        ),
        decoder=_Decoder(image_channels, widths, config),
        latent_shape=(latent_dim, height // rule, width // rule),
        multiple_of=rule,
        minimum=rule,
        dynamic_size=True,
        skips=config.skips,
        max_sigma=config.max_sigma,
    )


def latent_kind(config: BackboneConfig) -> LatentKind:
    """Spatial, always."""
    return "spatial"


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without normalisation (Lim et al. 2017): engines make two operations of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out: Tensor = x_BCHW + self.second(functional.relu(self.first(x_BCHW)))
        return out


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[ResidualBlock(channels) for _ in range(count)])


class _Trunk(nn.Module):
    """Image and map of the noise level, in [0, 1] units, to the features; and with ``skips`` what goes around them."""

    def __init__(self, image_channels: int, widths: tuple[int, ...], config: BackboneConfig) -> None:
        super().__init__()
        self.skips, self.image_channels = config.skips, image_channels
        # As large as a kernel of 3 at half the size would be.
        self.stem = nn.Conv2d(image_channels + 1, widths[0], 6, stride=2, padding=2)
        self.levels = nn.ModuleList(_blocks(*of) for of in zip(widths, config.blocks, strict=True))
        self.halvings = nn.ModuleList(nn.Conv2d(*of, 2, stride=2) for of in pairwise(widths))

    def forward(self, told_BCHW: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.levels[0](self.stem(told_BCHW))
        around = [told_BCHW[:, : self.image_channels]]
        for halving, level in zip(self.halvings, self.levels[1:], strict=True):
            around.append(x)
            x = level(halving(x))
        return (x, *around) if self.skips else x


class _Decoder(nn.Module):
    """The features, and with ``skips`` the image and the levels' features, to the image without its noise."""

    def __init__(self, image_channels: int, widths: tuple[int, ...], config: BackboneConfig) -> None:
        super().__init__()
        small_to_large = list(pairwise(widths))[::-1]
        # A convolution of four times the channels, laid out as four pixels: no checkerboard of overlapping kernels.
        self.doublings = nn.ModuleList(nn.Conv2d(below, 4 * above, 1) for above, below in small_to_large)
        self.levels = nn.ModuleList(
            _blocks(above, count) for (above, _), count in zip(small_to_large, reversed(config.up_blocks), strict=True)
        )
        self.last = nn.Conv2d(widths[0], 4 * image_channels, 3, padding=1)

    def forward(self, latent_BCHW: Tensor, *around: Tensor) -> Tensor:
        x = latent_BCHW
        for at, (doubling, level) in enumerate(zip(self.doublings, self.levels, strict=True)):
            x = functional.pixel_shuffle(doubling(x), 2)
            if around:
                x = x + around[-1 - at]
            x = level(x)
        image = functional.pixel_shuffle(self.last(x), 2)
        return around[0] - image if around else image
