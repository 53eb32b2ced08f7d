"""The model cut into graphs that stand alone. Values belong to the graph, so each includes its normalisation."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aedeploy.bundle import NoiseContract, TensorSpec
from aedeploy.bundle.manifest import Pixels, Role
from aedeploy.errors import ExportError
from aedeploy.images.noise import noisy, sigma_maps
from aedeploy.images.pixels import to_floats
from aedeploy.models.contract import Deployable, graph_specs, roles_of
from aedeploy.models.place import one_line

if TYPE_CHECKING:
    import onnx

#: What a graph is given, one array for each of its inputs, in their order.
Inputs = tuple[np.ndarray, ...]

#: An example batch of 1 is baked into graphs as a constant; any other number is not.
_EXAMPLE_BATCH = 3

#: How many values of real inputs go through the model at a time.
_VALUES_AT_ONCE = 2**22


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One graph, ready to be written in any format."""

    role: Role
    pixels: Pixels
    module: nn.Module  # takes and gives what ``inputs`` and ``outputs`` say, in their order
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example: tuple[Tensor, ...]  # one tensor for each input
    size_multiple: int  # dynamic height and width of an image are multiples of this
    noise: NoiseContract | None  # what the model is told of an image's noise
    metadata: Mapping[str, str]  # aedeploy.* keys, for inside the file
    encoder: nn.Module | None  # of a decoder graph: what makes its latents of images, to have real ones
    samples_NHWC: np.ndarray  # uint8, real images of the model's size
    decoder: nn.Module | None = None  # of an encoder graph: what makes images of its latents, to judge them by
    converted: dict[int, onnx.ModelProto] = field(default_factory=dict, repr=False)  # by opset; see onnx_graph.py

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The graph as PyTorch's exporter sees it: made once, and the source of every format but TorchScript.

        Raises:
            ExportError: the model's code cannot be captured, or bakes in a dimension that must vary.
        """
        dimensions = tuple(_dynamic(spec, self.size_multiple) for spec in self.inputs)
        try:
            with _silenced():
                return torch.export.export(self.module, self.example, dynamic_shapes=dimensions)
        except Exception as error:  # whatever the model's own code and the exporter's passes raise
            raise ExportError(f"PyTorch could not capture the {self.role}: {one_line(error)}") from error

    def real_inputs(self, images_NHWC: np.ndarray, sigma: float | None = None) -> Inputs:
        """What this graph is given for real images, uint8 [N, H, W, C]: the images as it takes them, or latents.

        Where it is told the noise, they have some: that of ``sigma``, or by default various amounts.
        """
        if self.noise is None:
            given: Inputs = (images_NHWC,)
        else:
            batch, height, width, _ = images_NHWC.shape
            maps = sigma_maps(batch, height, width, self.noise.maximum)
            if sigma is not None:
                maps[:] = sigma
            given = (noisy(images_NHWC, maps), maps)
        if self.encoder is None and self.pixels == "uint8":
            return given
        given = (to_floats(given[0]), *given[1:])
        return given if self.encoder is None else (_in_parts(self.encoder, given)[0],)

    def images(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The images that outputs of this graph are or stand for, in [0, 1]: latents are decoded by PyTorch."""
        first = outputs[self.outputs[0].name]
        if self.decoder is not None:
            return _in_parts(self.decoder, (first,))[0]
        return first / np.float32(255) if first.dtype == np.uint8 else first

    def named(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """Inputs by their names."""
        return dict(zip([spec.name for spec in self.inputs], inputs, strict=True))

    def reference(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """What PyTorch makes of inputs, by output."""
        return dict(zip([spec.name for spec in self.outputs], _in_parts(self.module, inputs), strict=True))


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Of code that it cannot capture PyTorch prints the graph so far; the error that it raises says what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _given(image: Tensor, sigma: Tensor | None) -> tuple[Tensor, ...]:
    """What a model takes. A graph itself does not take ``*sigma``: the exporter wants a name for each argument."""
    return (image,) if sigma is None else (image, sigma)


class EncoderGraph(nn.Module):
    """``image`` → ``latent``, and the bottleneck's further outputs in order."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self._names = names

    def forward(self, image: Tensor, sigma: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        code = self.model.encode(*_given(image, sigma))  # type: ignore[operator]
        return code["latent"] if len(self._names) == 1 else tuple(code[name] for name in self._names)


class DecoderGraph(nn.Module):
    """``latent`` → ``image``, clamped to [0, 1]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, latent: Tensor) -> Tensor:
        return self.model.decode(latent)  # type: ignore[operator, no-any-return]


class AutoencoderGraph(nn.Module):
    """``image``, and ``sigma`` where the model is told the noise → ``reconstruction``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, sigma: Tensor | None = None) -> Tensor:
        out: Tensor = self.model(*_given(image, sigma))
        return out


class BytesIn(nn.Module):
    """A graph that takes its image as uint8 [batch, H, W, C]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, image: Tensor, sigma: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        floats = image.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        out: Tensor | tuple[Tensor, ...] = self.inner(*_given(floats, sigma))
        return out


class BytesOut(nn.Module):
    """A graph that gives its image as uint8 [batch, H, W, C], rounded to the nearest."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, given: Tensor, sigma: Tensor | None = None) -> Tensor:
        out: Tensor = (self.inner(*_given(given, sigma)) * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1)
        return out


def split(
    model: Deployable,
    metadata: Mapping[Role, Mapping[str, str]],
    samples_NHWC: np.ndarray,
    pixels: Pixels = "float32",
) -> list[Graph]:
    """Cut a model into its graphs, from a deep copy in eval mode, on the CPU, in float32.

    The model that is passed stays as it is, so the order of exports cannot matter. ``samples_NHWC`` are real images of
    the model's size, uint8 [N, H, W, C].

    Raises:
        ExportError: the model cannot run on them.
    """
    graphs = []
    for role in roles_of(model):
        inputs, outputs = graph_specs(model, role, pixels)
        module = _module(model, role, pixels)
        encoder = _module(model, "encoder", "float32") if role == "decoder" else None
        decoder = _module(model, "decoder", "float32") if role == "encoder" else None
        example = _example(model)
        try:
            with torch.no_grad():
                if encoder is not None:
                    code = encoder(*example)
                    example = (code[0] if isinstance(code, tuple) else code,)
                elif pixels == "uint8":
                    example = ((example[0] * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous(), *example[1:])
            _drop_unused(module, example)
        except Exception as error:  # whatever the model's own code raises
            raise ExportError(f"The model's own {role} fails on its own: {one_line(error)}.") from error
        graphs.append(
            Graph(
                role=role,
                pixels=pixels,
                module=module,
                inputs=inputs,
                outputs=outputs,
                example=example,
                size_multiple=model.image.multiple_of,
                noise=model.noise,
                metadata=metadata[role],
                encoder=encoder,
                samples_NHWC=samples_NHWC,
                decoder=decoder,
            )
        )
    return graphs


def _module(model: Deployable, role: Role, pixels: Pixels) -> nn.Module:
    copied = copy.deepcopy(model.module).to(device="cpu", dtype=torch.float32).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    _drop_dropout(copied)
    _tell_apart(copied)
    graph: nn.Module
    if role == "encoder":
        graph = EncoderGraph(copied, model.encoder_outputs)
    else:
        graph = DecoderGraph(copied) if role == "decoder" else AutoencoderGraph(copied)
    if pixels == "uint8" and role != "decoder":
        graph = BytesIn(graph)
    if pixels == "uint8" and role != "encoder":
        graph = BytesOut(graph)
    return graph.eval()


def _drop_dropout(module: nn.Module) -> None:
    """Once trained, dropout does nothing: no graph has a node for it."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.dropout._DropoutNd):
            setattr(module, name, nn.Identity())
        else:
            _drop_dropout(child)


def _tell_apart(module: nn.Module) -> None:
    """A parameter that one module has under two names becomes two of the same storage: TorchScript takes no other."""
    for owner in module.modules():
        seen: set[int] = set()
        for name, parameter in owner._parameters.items():
            if id(parameter) in seen and parameter is not None:
                owner._parameters[name] = nn.Parameter(parameter.data, requires_grad=False)
            seen.add(id(parameter))


class _Touched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the storage of every tensor that an operator is given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.storages: set[int] = set()

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor):
                self.storages.add(value.untyped_storage().data_ptr())
        return operator(*args, **(kwargs or {}))


def _drop_unused(module: nn.Module, example: tuple[Tensor, ...]) -> None:
    """Take out the weights that a run does not touch: the decoder's are no part of an encoder."""
    touched = _Touched()
    with torch.no_grad(), touched:
        module(*example)
    for owner in module.modules():
        for tensor in (*owner.parameters(recurse=False), *owner.buffers(recurse=False)):
            if tensor.untyped_storage().data_ptr() not in touched.storages:
                # Not removed: a property of the module may still ask for it.
                tensor.data = tensor.new_zeros(0)


def _example(model: Deployable) -> tuple[Tensor, ...]:
    """Images, and how much noise is in them where the model is told."""
    image = model.image
    sides = (image.height, image.width)
    if image.dynamic_size:
        # Sides of 1 in the latent would be baked in, as a batch of 1 would.
        sides = (max(image.height, 2 * image.multiple_of), max(image.width, 2 * image.multiple_of))
    shape = (_EXAMPLE_BATCH, image.channels, *sides)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    if model.noise is None:
        return (images,)
    return images, torch.from_numpy(sigma_maps(_EXAMPLE_BATCH, *sides, model.noise.maximum))


def _dynamic(spec: TensorSpec, multiple: int) -> dict[int, Any]:
    """Which dimensions vary. Height and width are given as a multiple, which spares the graph its own check."""
    dimensions: dict[int, Any] = {}
    for axis, dimension in enumerate(spec.shape):
        if dimension in ("height", "width") and multiple > 1:
            dimensions[axis] = multiple * torch.export.Dim(f"{dimension}_{multiple}")
        elif isinstance(dimension, str):
            dimensions[axis] = torch.export.Dim(dimension)
    return dimensions


@torch.no_grad()
def _in_parts(module: nn.Module, inputs: Inputs) -> list[np.ndarray]:
    """The outputs of a module for inputs of any number."""
    step = max(1, _VALUES_AT_ONCE // max(1, prod(inputs[0].shape[1:])))
    parts = []
    for start in range(0, len(inputs[0]), step):
        result = module(*(torch.from_numpy(np.ascontiguousarray(array[start : start + step])) for array in inputs))
        parts.append([tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))])
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
