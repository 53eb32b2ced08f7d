"""Layer by layer, then the whole: each pair of layers learns to give back what it takes, before all are fine-tuned.

Hinton & Salakhutdinov 2006 and Bengio et al. 2007; with pairs of plain autoencoders, as in the latter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aedeploy.config import Config
from aedeploy.errors import ConfigError
from aedeploy.models.autoencoder import Autoencoder
from aedeploy.training import methods
from aedeploy.training.methods import MODEL, Batch, Loss, Phase, Setting
from aedeploy.training.objective import Objective
from aedeploy.training.objectives import Premises

_PLAIN = ("identity", "relu", "sigmoid")


class MethodConfig(Config):
    """``layer_epochs``: for each pair; training.epochs are those of the fine-tuning that follows."""

    name: Literal["greedy"] = "greedy"
    layer_epochs: int = Field(default=5, ge=1)


@dataclass(frozen=True)
class _Pair:
    """A layer of the encoder and the one of the decoder that undoes it."""

    encode: nn.Module
    decode: nn.Module

    def parameters(self, number: int) -> dict[str, nn.Parameter]:
        modules = {f"encode-{number}": self.encode, f"decode-{number}": self.decode}
        return {f"{part}.{name}": p for part, module in modules.items() for name, p in module.named_parameters()}


class Method(methods.Method):
    """A phase for each pair, from the image inwards, on the codes of the one before; then the objective for all."""

    def __init__(self, config: MethodConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self.layer_epochs = config.layer_epochs
        self.pairs = _pairs(setting.model)

    @classmethod
    def check(cls, config: Any, premises: Premises, backbone: Mapping[str, Any], objective: Objective) -> None:
        """Layers must be alone with their mirror."""
        mirrored = backbone.get("name") == "mlp" and backbone.get("decoder_hidden") is None
        if not mirrored or premises.bottleneck not in _PLAIN:
            raise ConfigError(
                "The method 'greedy' trains pairs of layers: it needs model.backbone.name = 'mlp' without "
                "decoder_hidden, and a model.bottleneck.name of 'identity', 'relu' or 'sigmoid'."
            )

    @property
    def phases(self) -> tuple[Phase, ...]:
        names = [f"layer {number} of {len(self.pairs)}" for number in range(1, len(self.pairs) + 1)]
        return (
            *(Phase(name=name, epochs=self.layer_epochs) for name in names),
            Phase(name="fine-tuning", epochs=self.epochs),
        )

    @property
    def players(self) -> dict[str, dict[str, nn.Parameter]]:
        pairs = {_player(at): pair.parameters(at + 1) for at, pair in enumerate(self.pairs)}
        return {**pairs, **super().players}

    @property
    def summed(self) -> bool:
        return False

    def names(self, phase: int) -> tuple[str, ...]:
        return ("layer_mse",) if phase < len(self.pairs) else self.objective.names

    def losses(self, batch: Batch) -> Iterator[Loss]:
        if batch.phase < len(self.pairs):
            yield self._layer_loss(batch)
            return
        value, sums = self.objective(self.forward(batch.corrupted, batch.clean), batch.epoch)
        # The layers' losses are means, and a batch in pieces is weighed for all phases alike.
        value = value / len(batch.clean) if self.objective.reduction == "sum" else value
        yield Loss(player=MODEL, value=value, sums=sums)

    def figures(self, phase: int, sums: Sequence[float], images: int, pixels: int) -> tuple[float, dict[str, float]]:
        if phase < len(self.pairs):
            return sums[0] / images, {"layer_mse": sums[0] / images}
        return self.objective.figures(sums, images, pixels)

    def _layer_loss(self, batch: Batch) -> Loss:
        """The mean squared error of a pair on what the layers before it give; of the first, on the image itself."""
        pair = self.pairs[batch.phase]
        taken, wanted = self._codes(batch.corrupted, batch.phase), self._codes(batch.clean, batch.phase)
        given = pair.decode(pair.encode(taken))
        error = (self.model.activate(given) if batch.phase == 0 else given) - wanted
        by_image = error.float().square().flatten(1).mean(1)
        return Loss(player=_player(batch.phase), value=by_image.mean(), sums=by_image.detach().sum()[None])

    @torch.no_grad()
    def _codes(self, image: Tensor, layers: int) -> Tensor:
        """What the first ``layers`` layers make of an image, as they do when they are used: without dropout."""
        if self.model.normalisation is not None:
            image = self.model.normalisation(image)
        for pair in self.pairs[:layers]:
            training = pair.encode.training
            pair.encode.eval()
            image = pair.encode(image)
            pair.encode.train(training)
        return image


def _player(phase: int) -> str:
    return f"layer-{phase + 1}"


class _Head(nn.Module):
    """A bottleneck as a layer: features to the latent alone."""

    def __init__(self, bottleneck: nn.Module) -> None:
        super().__init__()
        self.bottleneck = bottleneck

    def forward(self, features: Tensor) -> Tensor:
        latent: Tensor = self.bottleneck(features)["latent"]
        return latent


def _pairs(model: Autoencoder) -> list[_Pair]:
    encoders: list[nn.Module] = [*_layers(model.trunk), _Head(model.bottleneck)]
    if not any(isinstance(part, nn.Linear) for part in encoders[0].modules()):
        encoders[:2] = [nn.Sequential(*encoders[:2])]
    decoders = _layers(model.decoder)
    return [_Pair(encode, decode) for encode, decode in zip(encoders, reversed(decoders), strict=True)]


def _layers(modules: nn.Module) -> list[nn.Module]:
    """A stack cut before each of its linear layers."""
    layers: list[list[nn.Module]] = [[]]
    for module in modules.children():
        if isinstance(module, nn.Linear) and any(isinstance(part, nn.Linear) for part in layers[-1]):
            layers.append([])
        layers[-1].append(module)
    return [nn.Sequential(*layer) for layer in layers if layer]
