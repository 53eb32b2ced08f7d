"""What a model promises, written as a bundle's manifest writes it; the same for every variant, ours or not."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from aedeploy.bundle import ImageContract, LatentContract, NoiseContract, TensorSpec
from aedeploy.bundle.manifest import SIGMA, Dimension, Pixels, Role


class Deployable(Protocol):
    """A model that can be exported: a recipe's, or one of somebody's own."""

    @property
    def module(self) -> nn.Module:
        """Its ``forward`` reconstructs images, float32 [batch, C, H, W] in [0, 1], deterministically.

        Where it has a latent, ``encode(image)`` gives the tensors of ``encoder_outputs`` by name, and
        ``decode(latent)`` images, clamped to [0, 1]. Where it has ``noise``, ``forward`` and ``encode`` take a second
        tensor, ``sigma``, float32 [batch, 1, H, W] in levels of 255.
        """
        ...

    @property
    def image(self) -> ImageContract: ...

    @property
    def latent(self) -> LatentContract | None:
        """None: the model cannot be cut into an encoder and a decoder."""
        ...

    @property
    def noise(self) -> NoiseContract | None:
        """None: the model is told nothing of the noise in an image."""
        ...

    @property
    def encoder_outputs(self) -> tuple[str, ...]:
        """The names of what its encoder gives, ``latent`` first; empty without a latent."""
        ...


def roles_of(model: Deployable) -> tuple[Role, ...]:
    """The graphs that a model is cut into."""
    return ("autoencoder",) if model.latent is None else ("encoder", "decoder", "autoencoder")


def graph_specs(
    model: Deployable, role: Role, pixels: Pixels = "float32"
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The named inputs and outputs of a graph; the same for every format."""
    taken = (_image(model.image, "image", pixels), *_sigma(model))
    if role == "autoencoder" or model.latent is None:
        return taken, (_image(model.image, "reconstruction", pixels),)
    latent_shape = ("batch", *model.latent.shape)
    latent = TensorSpec(name="latent", dtype="float32", shape=latent_shape)
    if role == "decoder":
        return (latent,), (_image(model.image, "image", pixels),)
    # One index stands for all channels of a place.
    indices = TensorSpec(name="indices", dtype="int64", shape=("batch", *model.latent.shape[1:]))
    codes = tuple(
        indices if name == "indices" else TensorSpec(name=name, dtype="float32", shape=latent_shape)
        for name in model.encoder_outputs
    )
    return taken, codes


def _sigma(model: Deployable) -> tuple[TensorSpec, ...]:
    if model.noise is None:
        return ()
    shape = ("batch", 1, *_size(model.image))
    return (TensorSpec(name=SIGMA, dtype="float32", shape=shape, minimum=0.0, maximum=model.noise.maximum),)


def _size(contract: ImageContract) -> tuple[Dimension, Dimension]:
    return ("height", "width") if contract.dynamic_size else (contract.height, contract.width)


def _image(contract: ImageContract, name: str, pixels: Pixels) -> TensorSpec:
    size = _size(contract)
    if pixels == "uint8":
        bytes_shape = ("batch", *size, contract.channels)
        return TensorSpec(name=name, dtype="uint8", shape=bytes_shape, minimum=0.0, maximum=255.0)
    shape = ("batch", contract.channels, *size)
    return TensorSpec(name=name, dtype="float32", shape=shape, minimum=0.0, maximum=1.0)
