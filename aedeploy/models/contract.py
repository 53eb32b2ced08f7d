"""What a model promises, written as a bundle's manifest writes it."""

from __future__ import annotations

from aedeploy.bundle import ImageContract, LatentContract, TensorSpec
from aedeploy.bundle.manifest import Dimension, Role
from aedeploy.models.build import BuiltModel


def image_contract(built: BuiltModel) -> ImageContract:
    """The geometry and colour that the model takes."""
    channels, height, width = built.image_shape
    return ImageContract(
        channels=1 if channels == 1 else 3,
        mode="L" if channels == 1 else "RGB",
        height=height,
        width=width,
        dynamic_size=built.backbone.dynamic_size,
        multiple_of=built.backbone.multiple_of,
        minimum=built.backbone.minimum,
    )


def latent_contract(built: BuiltModel) -> LatentContract:
    """What the encoder gives and the decoder takes."""
    return LatentContract(
        shape=_latent_dimensions(built),
        kind="vector" if len(built.backbone.latent_shape) == 1 else "spatial",
        distribution=built.module.bottleneck.distribution,
        codebook_size=built.module.bottleneck.codebook_size,
        masked=built.module.bottleneck.masks,
    )


def graph_specs(built: BuiltModel, role: Role) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The named inputs and outputs of a graph; the same for every format."""
    latent_shape = ("batch", *_latent_dimensions(built))
    latent = TensorSpec(name="latent", dtype="float32", shape=latent_shape)
    if role == "decoder":
        return (latent,), (_image(built, "image"),)
    if role == "autoencoder":
        return (_image(built, "image"),), (_image(built, "reconstruction"),)
    # One index stands for all channels of a place.
    indices = TensorSpec(name="indices", dtype="int64", shape=("batch", *_latent_dimensions(built)[1:]))
    codes = tuple(
        indices if name == "indices" else TensorSpec(name=name, dtype="float32", shape=latent_shape)
        for name in built.module.encoder_outputs
    )
    return (_image(built, "image"),), codes


def _image(built: BuiltModel, name: str) -> TensorSpec:
    channels, height, width = built.image_shape
    size: tuple[Dimension, Dimension] = ("height", "width") if built.backbone.dynamic_size else (height, width)
    return TensorSpec(name=name, dtype="float32", shape=("batch", channels, *size), minimum=0.0, maximum=1.0)


def _latent_dimensions(built: BuiltModel) -> tuple[Dimension, ...]:
    shape = built.backbone.latent_shape
    if built.backbone.dynamic_size:
        return (shape[0], "latent_height", "latent_width")
    return shape
