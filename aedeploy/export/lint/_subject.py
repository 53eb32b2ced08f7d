"""What the rules look at: a model, run as it is, and its graphs as PyTorch's exporter captures them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import Node

from aedeploy.errors import ExportError
from aedeploy.export.lint._noting import Noting
from aedeploy.export.split import BytesIn, BytesOut, Graph
from aedeploy.images.noise import sigma_maps
from aedeploy.models.contract import Deployable
from aedeploy.models.own import OwnAutoencoder
from aedeploy.models.place import Place, place_in_stack, place_of_error

_BATCH = 3
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


@dataclass(frozen=True, kw_only=True)
class Part:
    """One graph, as captured; ``program`` is None where it could not be, for the reason in ``failure``."""

    graph: Graph

    @cached_property
    def _captured(self) -> torch.export.ExportedProgram | ExportError:
        try:
            return self.graph.program
        except ExportError as error:
            return error

    @property
    def program(self) -> torch.export.ExportedProgram | None:
        return None if isinstance(self._captured, ExportError) else self._captured

    @property
    def failure(self) -> ExportError | None:
        return self._captured if isinstance(self._captured, ExportError) else None

    def calls(self) -> Iterator[Node]:
        """The operators of the graph, in their order; none where it could not be captured."""
        if self.program is not None:
            yield from (node for node in self.program.graph.nodes if node.op == "call_function")

    def place(self, node: Node) -> Place:
        """Where in the user's own model an operator comes from."""
        stack = list(node.meta.get("nn_module_stack", {}).values())
        path = str(stack[-1][0]) if stack else ""
        frames = [(file, int(line)) for file, line in _FRAME.findall(node.meta.get("stack_trace") or "")]
        return place_in_stack(self.own_path(path), frames, self.root)

    def own_path(self, path: str) -> str:
        """A module's path in the graph, as one of the user's own model; empty where it is around that."""
        return path.removeprefix(self._prefix) if path.startswith(self._prefix) else ""

    @property
    def root(self) -> nn.Module:
        """The user's own model, of which the graph was made."""
        return self._root_and_prefix[0]

    @property
    def _prefix(self) -> str:
        return self._root_and_prefix[1]

    @cached_property
    def _root_and_prefix(self) -> tuple[nn.Module, str]:
        module, prefix = self.graph.module, ""
        while isinstance(module, BytesIn | BytesOut):
            module, prefix = module.inner, f"{prefix}inner."
        module, prefix = module.get_submodule("model"), f"{prefix}model."
        return (module.model, f"{prefix}model.") if isinstance(module, OwnAutoencoder) else (module, prefix)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model under lint. Everything that several rules need is computed once, when the first asks."""

    model: Deployable
    samples_NHWC: np.ndarray  # real images, uint8, of the model's size
    cut: Callable[[], list[Graph]]
    formats: tuple[str, ...]  # that it is about to be written in
    from_onnx: bool  # whether one of these is made from ONNX

    @cached_property
    def graphs(self) -> list[Graph]:
        """The graphs that are about to be written. Raises an ExportError where the model cannot be cut."""
        return self.cut()

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What covers the model: encoder and decoder, or the autoencoder of one that cannot be cut."""
        covering = ("autoencoder",) if self.model.latent is None else ("encoder", "decoder")
        return tuple(Part(graph=graph) for graph in self.graphs if graph.role in covering)

    @cached_property
    def module(self) -> nn.Module:
        """A copy to run, in eval mode."""
        return copy.deepcopy(self.model.module).cpu().eval()

    @property
    def root(self) -> nn.Module:
        """The user's own model."""
        return self.module.model if isinstance(self.module, OwnAutoencoder) else self.module

    @cached_property
    def images(self) -> Tensor:
        """A few that are not alike, real ones and noise among them: float32 [batch, C, H, W] in [0, 1]."""
        real = torch.from_numpy(np.take(self.samples_NHWC, range(_BATCH), axis=0, mode="wrap"))
        images = real.permute(0, 3, 1, 2).float().div(255.0).contiguous()
        images[1] = self.noise(images.shape[2], images.shape[3])[0]
        return images

    @cached_property
    def is_random(self) -> bool:
        """Whether the same images give something else the second time."""
        first, second = (self.outputs(self.images[:1]) for _ in range(2))
        # NaN, which is not equal to itself, is no chance.
        return not all(torch.equal(first[name].nan_to_num(), second[name].nan_to_num()) for name in first)

    def noise(self, height: int, width: int) -> Tensor:
        """Two images of noise, of any size, always the same."""
        shape = (2, self.model.image.channels, height, width)
        return torch.rand(shape, generator=torch.Generator().manual_seed(0))

    def given(self, images_BCHW: Tensor) -> tuple[Tensor, ...]:
        """Images, and what else the model is given with them."""
        if self.model.noise is None:
            return (images_BCHW,)
        batch, _, height, width = images_BCHW.shape
        sigma = sigma_maps(batch, height, width, self.model.noise.maximum)
        return images_BCHW, torch.from_numpy(sigma).to(images_BCHW)

    @torch.no_grad()
    def outputs(self, images_BCHW: Tensor, module: nn.Module | None = None) -> dict[str, Tensor]:
        """Everything that the graphs give, by name; of a copy of the model where one is given."""
        module = self.module if module is None else module
        given = self.given(images_BCHW)
        if self.model.latent is None:
            return {"reconstruction": module(*given)}
        code = module.encode(*given)  # type: ignore[operator]
        return {**code, "reconstruction": module.decode(code["latent"])}  # type: ignore[operator]

    @cached_property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Heights and widths to try: the model's own; where the contract allows others, the least and an oblong."""
        image = self.model.image
        step, least = image.multiple_of, image.minimum
        others = [(least, least), (least + step, least + 2 * step)] if image.dynamic_size else []
        return [(image.height, image.width), *others]

    @cached_property
    def of_sizes(self) -> dict[tuple[int, int], torch.Size | Exception]:
        """By height and width: the shape of what comes back for two images, or what the model raised."""
        found: dict[tuple[int, int], torch.Size | Exception] = {}
        for height, width in self.sizes:
            try:
                found[height, width] = self.outputs(self.noise(height, width))["reconstruction"].shape
            except Exception as error:  # whatever the model's code raises
                found[height, width] = error
        return found

    def more_exactly(self, place: Place, *operators: str) -> Place:
        """The same place with its line of code, where one of these operators has one when the model just runs.

        Of what is called by another method than ``forward`` the exporter notes no line.
        """
        if place.line is not None:
            return place
        return next((found for name, found in self._noted if name in operators), place)

    @cached_property
    def _noted(self) -> list[tuple[str, Place]]:
        noting = Noting(self.root)
        with noting:
            self.outputs(self.images)
        return noting.found

    def place_of(self, error: BaseException) -> Place:
        """Where in the user's own model an error arose."""
        return place_of_error(error, self.root)
