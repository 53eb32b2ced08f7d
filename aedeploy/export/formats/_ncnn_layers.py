"""The layers of ncnn's .param files, as pnnx writes them, and as a bundle's contract wants them."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from aedeploy.bundle import TensorSpec
from aedeploy.errors import ExportError

#: Parameters of a Reshape that puts a batch of one before so many dimensions, or takes it away. 0, 1, 11 and 2 are
#: width, height, depth and channels; a size of 0 is as it was, one of −1 what is left.
_WITH_BATCH = {1: ["0=0", "1=1"], 2: ["0=0", "1=0", "2=1"], 3: ["0=0", "1=0", "11=-1", "2=1"]}
_WITHOUT_BATCH = {1: ["0=-1"], 2: ["0=0", "1=-1"], 3: ["0=0", "1=0", "2=-1"]}


@dataclass
class Layer:
    """One line of the file."""

    kind: str
    name: str
    takes: list[str]  # blobs
    gives: list[str]
    parameters: list[str]

    def __str__(self) -> str:
        counts = f"{len(self.takes)} {len(self.gives)}"
        return " ".join([f"{self.kind:<24} {self.name:<24} {counts}", *self.takes, *self.gives, *self.parameters])


class Layers:
    """A whole file."""

    def __init__(self, structure: str) -> None:
        self._magic, _, *lines = structure.splitlines()
        self._layers = [_layer(line.split()) for line in lines if line.strip()]

    def __str__(self) -> str:
        blobs = sum(len(layer.gives) for layer in self._layers)
        return "\n".join([self._magic, f"{len(self._layers)} {blobs}", *map(str, self._layers), ""])

    @property
    def kinds(self) -> list[str]:
        """Which layers there are, sorted."""
        return sorted({layer.kind for layer in self._layers})

    def bind_inputs(self, specs: tuple[TensorSpec, ...], batched: Set[str]) -> None:
        """Call in0, in1 … as the contract does; those of ``batched`` get there without their batch of one.

        Raises:
            ExportError: one of them is not there.
        """
        for number, spec in enumerate(specs):
            source = self._only([layer for layer in self._layers if layer.gives == [f"in{number}"]], f"in{number}")
            if f"in{number}" not in batched:
                self._rename(f"in{number}", spec.name)
                continue
            inner = f"{spec.name}_batch"
            self._rename(f"in{number}", inner)
            source.gives = [spec.name]
            shape = Layer("Reshape", inner, [spec.name], [inner], _WITH_BATCH[len(spec.shape) - 1])
            self._layers.insert(self._layers.index(source) + 1, shape)

    def bind_outputs(self, specs: tuple[TensorSpec, ...], batched: Set[str]) -> None:
        """The same with out0, out1 ….

        Raises:
            ExportError: one of them is not there.
        """
        for number, spec in enumerate(specs):
            self._only([layer for layer in self._layers if f"out{number}" in layer.gives], f"out{number}")
            if f"out{number}" not in batched:
                self._rename(f"out{number}", spec.name)
                continue
            inner = f"{spec.name}_batch"
            self._rename(f"out{number}", inner)
            self._layers.append(Layer("Reshape", inner, [inner], [spec.name], _WITHOUT_BATCH[len(spec.shape) - 1]))

    def _only(self, layers: list[Layer], blob: str) -> Layer:
        if len(layers) != 1:
            raise ExportError(f"pnnx did not keep the graph's inputs and outputs: {blob} is not in what it wrote.")
        return layers[0]

    def _rename(self, blob: str, name: str) -> None:
        for layer in self._layers:
            layer.takes = [name if each == blob else each for each in layer.takes]
            layer.gives = [name if each == blob else each for each in layer.gives]


def _layer(columns: list[str]) -> Layer:
    kind, name, takes, gives, *rest = columns
    inputs, outputs = int(takes), int(gives)
    return Layer(kind, name, rest[:inputs], rest[inputs : inputs + outputs], rest[inputs + outputs :])
