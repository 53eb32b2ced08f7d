"""Backbone and bottleneck assembled. Values in, values out: images in [0, 1] at both ends, whatever happens between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from aedeploy.models.backbones import Backbone
from aedeploy.models.bottlenecks import Bottleneck, Code

OutputActivation = Literal["sigmoid", "linear"]


@dataclass(frozen=True, kw_only=True)
class TrainingPass:
    """What one step of training sees; every image tensor is in the model's own units (standardised, if it is)."""

    model: Autoencoder
    input: Tensor  # image_BCHW as it came in, corrupted, in [0, 1] units
    code: Code
    latent: Tensor  # what the decoder took: sampled, where the bottleneck samples
    raw: Tensor  # image_BCHW before the output activation: logits, where that is a sigmoid
    target: Tensor  # image_BCHW, the clean image
    activate: Callable[[Tensor], Tensor]
    samples: int = 1  # of each image, in a row: all tensors but ``input`` have that many times its rows

    @cached_property
    def output(self) -> Tensor:
        """image_BCHW after the output activation. Not every loss looks at it, and it is a pass over all pixels."""
        return self.activate(self.raw)


class Normalisation(nn.Module):
    """(x − mean) / std by channel, and its inverse. Buffers, so that they are part of weights and graphs."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return (image_BCHW - self.mean) / self.std

    def inverse(self, image_BCHW: Tensor) -> Tensor:
        return image_BCHW * self.std + self.mean


class Autoencoder(nn.Module):
    """An autoencoder of any variant.

    ``encode`` and ``decode`` are what is exported: deterministic, float32 images in [0, 1] in and out; of a model with
    skips only ``forward``. ``sigma``, of a model that takes it (``max_sigma`` is not None): the standard deviation of
    the noise in levels of 255, float32 [B, 1, H, W], from 0 to ``max_sigma``.
    """

    bottleneck: Bottleneck

    def __init__(
        self,
        backbone: Backbone,
        bottleneck: Bottleneck,
        *,
        output: OutputActivation,
        normalisation: Normalisation | None,
    ) -> None:
        super().__init__()
        self.normalisation = normalisation
        self.max_sigma = backbone.max_sigma
        self.skips = backbone.skips
        self.trunk = backbone.trunk
        self.bottleneck = bottleneck
        self.decoder = backbone.decoder
        self.output = output

    @property
    def encoder_outputs(self) -> tuple[str, ...]:
        """The names of what ``encode`` gives, ``latent`` first."""
        return self.bottleneck.outputs

    def encode(self, image_BCHW: Tensor, sigma_B1HW: Tensor | None = None) -> Code:
        """Images in [0, 1] to ``latent`` and what else the bottleneck gives."""
        code: Code = self.bottleneck(self.features(image_BCHW, sigma_B1HW))
        return code

    def features(self, image_BCHW: Tensor, sigma_B1HW: Tensor | None = None) -> Tensor:
        """Images in [0, 1] to what the bottleneck takes."""
        return self._trunk(image_BCHW, sigma_B1HW)[0]

    def _trunk(self, image_BCHW: Tensor, sigma_B1HW: Tensor | None) -> tuple[Tensor, ...]:
        """The features, and what goes around the bottleneck."""
        if self.normalisation is not None:
            image_BCHW = self.normalisation(image_BCHW)
        if self.max_sigma is not None:
            if sigma_B1HW is None:
                raise TypeError("This model is told how much noise there is: give it sigma, a map, beside the image.")
            image_BCHW = torch.cat([image_BCHW, sigma_B1HW / self.max_sigma], 1)
        found = self.trunk(image_BCHW)
        return found if self.skips else (found,)

    def decode(self, latent: Tensor) -> Tensor:
        """``latent`` to images, clamped to [0, 1]."""
        return self.finish(self.decoder(latent))

    def finish(self, raw: Tensor) -> Tensor:
        """What the decoder's layers give, before any activation, to images in [0, 1]."""
        image_BCHW = self.activate(raw)
        if self.normalisation is not None:
            image_BCHW = self.normalisation.inverse(image_BCHW)
        return image_BCHW.clamp(0.0, 1.0)

    def forward(self, image_BCHW: Tensor, sigma_B1HW: Tensor | None = None) -> Tensor:
        """Reconstruct images in [0, 1]; deterministic in eval mode."""
        return self.finish(self.reconstruct(image_BCHW, sigma_B1HW)[1])

    def reconstruct(self, image_BCHW: Tensor, sigma_B1HW: Tensor | None = None) -> tuple[Code, Tensor]:
        """The code of images in [0, 1], and what the decoder's layers make of it, before any activation."""
        features, *around = self._trunk(image_BCHW, sigma_B1HW)
        code: Code = self.bottleneck(features)
        return code, self.decoder(code["latent"], *around)

    def training_pass(
        self, corrupted_BCHW: Tensor, clean_BCHW: Tensor, samples: int = 1, *, sigma_B1HW: Tensor | None = None
    ) -> TrainingPass:
        """Reconstruct corrupted images, sampling where the bottleneck samples; both inputs in [0, 1] units.

        ``samples`` latents are drawn for each image and decoded; the encoder runs once.
        """
        features, *around = self._trunk(corrupted_BCHW, sigma_B1HW)
        code = self.bottleneck.training_code(features)
        target = clean_BCHW if self.normalisation is None else self.normalisation(clean_BCHW)
        if samples > 1:
            code = {name: tensor.repeat_interleave(samples, 0) for name, tensor in code.items()}
            target = target.repeat_interleave(samples, 0)
            around = [tensor.repeat_interleave(samples, 0) for tensor in around]
        latent = self.bottleneck.sample(code)
        raw = self.decoder(latent, *around)
        return TrainingPass(
            model=self,
            input=corrupted_BCHW,
            code=code,
            latent=latent,
            raw=raw,
            target=target,
            activate=self.activate,
            samples=samples,
        )

    def activate(self, raw: Tensor) -> Tensor:
        """What the decoder's layers give to the model's own units: logits to pixels, where the output is a sigmoid."""
        return torch.sigmoid(raw) if self.output == "sigmoid" else raw
