"""From a recipe's [model] table to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from aedeploy.bundle import ImageContract, LatentContract, NoiseContract
from aedeploy.config import Config, parse
from aedeploy.errors import ConfigError, did_you_mean
from aedeploy.models.autoencoder import Autoencoder, Normalisation
from aedeploy.models.backbones import Backbone
from aedeploy.models.bottlenecks import LatentKind
from aedeploy.names import load_named


class ModelConfig(Config):
    """A recipe's [model] table. The tables of backbone and bottleneck are read by the modules that they name."""

    latent_dim: int = Field(ge=1, description="Numbers of a vector latent, channels of a spatial one.")
    output: Literal["sigmoid", "linear"] = "sigmoid"
    normalisation: Literal["none", "standard"] = Field(
        default="none", description="standard: by the mean and standard deviation of the training pixels."
    )
    backbone: dict[str, Any]
    bottleneck: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PixelStatistics:
    """Mean and standard deviation of the training images, by channel, in [0, 1] units."""

    mean: Sequence[float]
    std: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class BuiltModel:
    """A model, and the backbone's own word on sizes, from which its contract is written (see models/contract.py)."""

    module: Autoencoder
    backbone: Backbone
    image_shape: tuple[int, int, int]

    @property
    def image(self) -> ImageContract:
        """The geometry and colour that the model takes."""
        channels, height, width = self.image_shape
        return ImageContract(
            channels=1 if channels == 1 else 3,
            mode="L" if channels == 1 else "RGB",
            height=height,
            width=width,
            dynamic_size=self.backbone.dynamic_size,
            multiple_of=self.backbone.multiple_of,
            minimum=self.backbone.minimum,
        )

    @property
    def latent(self) -> LatentContract | None:
        """What the encoder gives and the decoder takes; None of a model that hands more than that across the cut."""
        if self.backbone.skips:
            return None
        shape = self.backbone.latent_shape
        return LatentContract(
            shape=(shape[0], "latent_height", "latent_width") if self.backbone.dynamic_size else shape,
            kind="vector" if len(shape) == 1 else "spatial",
            distribution=self.module.bottleneck.distribution,
            codebook_size=self.module.bottleneck.codebook_size,
            masked=self.module.bottleneck.masks,
        )

    @property
    def noise(self) -> NoiseContract | None:
        """What the model is told of the noise; None: nothing."""
        return None if self.backbone.max_sigma is None else NoiseContract(maximum=self.backbone.max_sigma)

    @property
    def encoder_outputs(self) -> tuple[str, ...]:
        return () if self.backbone.skips else self.module.encoder_outputs


def build_model(
    table: Mapping[str, Any], image_shape: tuple[int, int, int], statistics: PixelStatistics | None = None
) -> BuiltModel:
    """Build the model of a recipe's [model] table for images of ``image_shape`` (channels, height, width).

    ``statistics`` are needed when the table asks for ``normalisation = "standard"``.

    Raises:
        ConfigError: a key is unknown, a value or a combination is not possible, or the size breaks the size rule.
        UnknownNameError: there is no such backbone or bottleneck.
    """
    config = parse(ModelConfig, table, "model")
    backbone = build_backbone(config, image_shape)
    module, bottleneck_config = _part(config.bottleneck, "bottlenecks", "bottleneck")
    normalisation = None
    if config.normalisation == "standard":
        found = statistics or PixelStatistics(mean=[0.0] * image_shape[0], std=[1.0] * image_shape[0])
        normalisation = Normalisation(found.mean, found.std)
    model = Autoencoder(
        backbone,
        module.Bottleneck(bottleneck_config, backbone.new_head, config.latent_dim),
        output=config.output,
        normalisation=normalisation,
    )
    return BuiltModel(module=model, backbone=backbone, image_shape=image_shape)


def resolve_model(table: Mapping[str, Any]) -> dict[str, Any]:
    """A [model] table with every default written out, so that a later release with others builds the same model.

    Raises:
        ConfigError, UnknownNameError: as :func:`build_model`.
    """
    config = parse(ModelConfig, table, "model")
    backbone_module, backbone = _part(config.backbone, "backbones", "backbone")
    bottleneck_module, bottleneck = _part(config.bottleneck, "bottlenecks", "bottleneck")
    bottleneck_module.Bottleneck.check(bottleneck, config.latent_dim, backbone_module.latent_kind(backbone))
    parts = {"backbone": backbone.model_dump(mode="json"), "bottleneck": bottleneck.model_dump(mode="json")}
    return {**config.model_dump(mode="json"), **parts}


def latent_kind(table: Mapping[str, Any]) -> LatentKind:
    """Whether a [model] table's latent is a vector or spatial: its backbone's choice."""
    module, backbone = _part(table["backbone"], "backbones", "backbone")
    kind: LatentKind = module.latent_kind(backbone)
    return kind


def build_backbone(config: ModelConfig, image_shape: tuple[int, int, int]) -> Backbone:
    module, backbone_config = _part(config.backbone, "backbones", "backbone")
    backbone: Backbone = module.build(backbone_config, image_shape, config.latent_dim)
    return backbone


def missing_name(where: str, what: str, table: Mapping[str, Any]) -> str:
    """What is said of a table that does not say which part it is; a key that nearly does is pointed at."""
    near = next((key for key in table if did_you_mean(key, ["name"])), None)
    hint = f" ({near!r} is not it)" if near else ""
    return f"'{where}.name' is missing{hint}: it names the {what}."


def _part(table: Mapping[str, Any], folder: str, what: str) -> tuple[Any, Any]:
    """The module that a table names, and the table as that module's own config."""
    if not isinstance(table.get("name"), str):
        raise ConfigError(missing_name(f"model.{what}", what, table))
    module = load_named(f"aedeploy.models.{folder}", table["name"], what)
    config_class = module.BackboneConfig if what == "backbone" else module.BottleneckConfig
    return module, parse(config_class, table, f"model.{what}")
