"""The model cut into graphs that stand alone. Values belong to the graph, so each includes its normalisation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aedeploy.bundle import TensorSpec
from aedeploy.bundle.manifest import Role
from aedeploy.models.autoencoder import Autoencoder
from aedeploy.models.build import BuiltModel
from aedeploy.models.contract import graph_specs


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One graph, ready to be written in any format."""

    role: Role
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example: tuple[Tensor, ...]  # one tensor for each input
    size_multiple: int  # dynamic height and width of an image are multiples of this
    metadata: Mapping[str, str]  # aedeploy.* keys, for inside the file


class EncoderGraph(nn.Module):
    """``image`` → ``latent``, and the bottleneck's further outputs in order."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.normalisation = model.normalisation
        self.trunk = model.trunk
        self.bottleneck = model.bottleneck
        self._encode = model.encode
        self._names = model.encoder_outputs

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        code = self._encode(image)
        return code["latent"] if len(self._names) == 1 else tuple(code[name] for name in self._names)


class DecoderGraph(nn.Module):
    """``latent`` → ``image``, clamped to [0, 1]."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.normalisation = model.normalisation
        self.decoder = model.decoder
        self._decode = model.decode

    def forward(self, latent: Tensor) -> Tensor:
        return self._decode(latent)


class AutoencoderGraph(nn.Module):
    """``image`` → ``reconstruction``."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.model(image)
        return out


_GRAPHS: dict[Role, type[nn.Module]] = {
    "encoder": EncoderGraph,
    "decoder": DecoderGraph,
    "autoencoder": AutoencoderGraph,
}

#: An example batch of 1 is baked into graphs as a constant; any other number is not.
_EXAMPLE_BATCH = 3


def split(built: BuiltModel, metadata: Mapping[Role, Mapping[str, str]]) -> list[Graph]:
    """Cut a model into its graphs, from a deep copy in eval mode, on the CPU, in float32.

    The model that is passed stays as it is, so the order of exports cannot matter.
    """
    graphs = []
    for role, graph_class in _GRAPHS.items():
        model = copy.deepcopy(built.module).to(device="cpu", dtype=torch.float32).eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        _drop_dropout(model)
        inputs, outputs = graph_specs(built, role)
        graphs.append(
            Graph(
                role=role,
                module=graph_class(model).eval(),
                inputs=inputs,
                outputs=outputs,
                example=(_example(built, role),),
                size_multiple=built.backbone.multiple_of,
                metadata=metadata[role],
            )
        )
    return graphs


def _drop_dropout(module: nn.Module) -> None:
    """Once trained, dropout does nothing: no graph has a node for it."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.dropout._DropoutNd):
            setattr(module, name, nn.Identity())
        else:
            _drop_dropout(child)


def _example(built: BuiltModel, role: Role) -> Tensor:
    shape: tuple[int, ...] = built.image_shape
    if built.backbone.dynamic_size:
        # Sides of 1 in the latent would be baked in, as a batch of 1 would.
        shape = (shape[0], *(max(side, 2 * built.backbone.multiple_of) for side in shape[1:]))
    if role == "decoder":
        channels, *sides = built.backbone.latent_shape
        now_and_then = zip(sides, shape[1:], built.image_shape[1:], strict=False)
        shape = (channels, *(side * now // then for side, now, then in now_and_then))
    return torch.rand((_EXAMPLE_BATCH, *shape), generator=torch.Generator().manual_seed(0))
