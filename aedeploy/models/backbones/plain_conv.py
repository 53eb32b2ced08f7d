"""Plain convolutions, as introductory texts build them: stages of Conv, activation, BatchNorm, halving; and a mirror.

Where no head is asked for, the output of the last stage is the latent itself, of ``latent_dim`` channels.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from aedeploy.config import Config
from aedeploy.errors import ConfigError
from aedeploy.models.backbones import ACTIVATIONS, Backbone, check_size, one_identity_head
from aedeploy.models.bottlenecks import LatentKind

Width = Annotated[int, Field(ge=1)]
Size = tuple[int, int]


class BackboneConfig(Config):
    """``channels``: those of the stages; without a ``head`` one more stage follows, of ``latent_dim`` channels.

    ``down``: max pooling, or a stride of the convolution in its place. ``up``: transposed convolutions, or bilinear
    upsampling and a convolution, which leaves no checkerboard pattern (Odena et al. 2016).
    """

    name: Literal["plain-conv"] = "plain-conv"
    # Not strict: of TOML it comes as a list.
    channels: tuple[Width, ...] = Field(default=(16, 32), strict=False)
    head: Literal["none", "conv"] = Field(default="none", description="conv: a 1×1 convolution makes the latent.")
    down: Literal["pool", "stride"] = "pool"
    up: Literal["transpose", "upsample"] = "transpose"
    up_kernel: Literal[2, 3] = Field(default=3, description="Of transposed convolutions.")
    output_conv: bool = Field(default=True, description="A last convolution at full size makes the image.")
    activation: Literal["relu", "leaky_relu", "elu"] = "relu"
    batch_norm: bool = True


def build(config: BackboneConfig, image_shape: tuple[int, int, int], latent_dim: int) -> Backbone:
    """Layers for ``image_shape`` (channels, height, width).

    Raises:
        ConfigError: there is no stage, or the height or width breaks the size rule.
    """
    image_channels, height, width = image_shape
    widths = config.channels if config.head == "conv" else (*config.channels, latent_dim)
    if not widths:
        raise ConfigError("model.backbone.channels is empty, and with model.backbone.head = 'conv' no stage is left.")
    stages = len(widths)
    # A transposed convolution of kernel 2 only doubles; the others can give an odd size back once, at the bottom.
    rule = 2 ** (stages if config.up == "transpose" and config.up_kernel == 2 else stages - 1)
    check_size(
        "plain-conv", height, width, rule, f"with {stages} stages", "set fewer stages with model.backbone.channels"
    )
    sizes = [(height, width)]
    for _ in widths:
        sizes.append(_halved(sizes[-1], config.down))
    if min(sizes[-1]) < 1:
        raise ConfigError(
            f"Images of {height}×{width} are too small for {stages} stages of model.backbone.channels: "
            "take a larger --image-size or fewer stages."
        )
    regular = height % 2**stages == width % 2**stages == 0
    decoder = _decoder(config, image_channels, widths, sizes, regular)
    if config.head == "conv":
        decoder.insert(0, nn.Conv2d(latent_dim, widths[-1], 1))
    return Backbone(
        trunk=_trunk(config, image_channels, widths),
        new_head=_heads(config, widths[-1], latent_dim),
        decoder=decoder,
        latent_shape=(latent_dim, *sizes[-1]),
        multiple_of=2**stages if regular else rule,
        minimum=min(2**stages, height, width),
        # Where a stage halves an odd size, its mirror is made for that size alone.
        dynamic_size=regular,
    )


def latent_kind(config: BackboneConfig) -> LatentKind:
    """Spatial, always."""
    return "spatial"


def _heads(config: BackboneConfig, features: int, latent_dim: int) -> Callable[[], nn.Module]:
    if config.head == "conv":
        return lambda: nn.Conv2d(features, latent_dim, 1)
    return one_identity_head(
        "With model.backbone.head = 'none' the last stage is the latent", "set model.backbone.head = 'conv'"
    )


def _halved(size: Size, down: str) -> Size:
    height, width = size
    return (height // 2, width // 2) if down == "pool" else ((height + 1) // 2, (width + 1) // 2)


def _trunk(config: BackboneConfig, image_channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise((image_channels, *widths)):
        stride = 2 if config.down == "stride" else 1
        layers += [nn.Conv2d(before, after, 3, stride=stride, padding=1), *_finish(config, after)]
        if config.down == "pool":
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _decoder(
    config: BackboneConfig, image_channels: int, widths: tuple[int, ...], sizes: list[Size], regular: bool
) -> nn.Sequential:
    layers: list[nn.Module] = []
    # A stage gives as many channels as its mirror had; without a last convolution, as many as its mirror took.
    given = list(reversed(widths)) if config.output_conv else [*reversed(widths[:-1]), image_channels]
    small_to_large = list(reversed(sizes))
    before = widths[-1]
    for stage, after in enumerate(given):
        layers += _doubling(config, before, after, small_to_large[stage], small_to_large[stage + 1], regular)
        if config.output_conv or stage < len(given) - 1:
            layers += _finish(config, after)
        before = after
    if config.output_conv:
        layers.append(nn.Conv2d(before, image_channels, 3, padding=1))
    return nn.Sequential(*layers)


def _doubling(
    config: BackboneConfig, before: int, after: int, small: Size, large: Size, regular: bool
) -> list[nn.Module]:
    if config.up == "upsample":
        upsample = (
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            if regular
            else nn.Upsample(size=large, mode="bilinear", align_corners=True)
        )
        return [upsample, nn.Conv2d(before, after, 3, padding=1)]
    if config.up_kernel == 2:
        return [nn.ConvTranspose2d(before, after, 2, stride=2)]
    # Kernel 3 at stride 2 gives 2n + 1 pixels; a padding of 1 takes two of them, an output padding gives one back.
    cropped = tuple(int(to <= 2 * n) for n, to in zip(small, large, strict=True))
    added = tuple(int(to == 2 * n) for n, to in zip(small, large, strict=True))
    return [
        nn.ConvTranspose2d(
            before, after, 3, stride=2, padding=(cropped[0], cropped[1]), output_padding=(added[0], added[1])
        )
    ]


def _finish(config: BackboneConfig, channels: int) -> list[nn.Module]:
    activation = ACTIVATIONS[config.activation]()
    return [activation, nn.BatchNorm2d(channels)] if config.batch_norm else [activation]
