"""What the backends of PyTorch share: its devices, and a loaded module behind the GraphRunner protocol."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np

from aedeploy.bundle import GraphRecord
from aedeploy.errors import BackendError
from aedeploy.runtime.runner import Arrays, RunnerLifetime, check_inputs

TORCH_DEVICES = ("cpu", "cuda", "mps")


def missing_torch() -> str | None:
    """``torch``, where it is not installed."""
    return None if importlib.util.find_spec("torch") else "torch"


def check_torch_device(device: str) -> None:
    """Raise a BackendError when PyTorch cannot use ``device``."""
    import torch

    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable.get(device, False):
        have = ", ".join(name for name, there in usable.items() if there)
        raise BackendError(f"--device {device}: PyTorch finds no such device here (it has {have}): use --device cpu.")


class TorchRunner(RunnerLifetime):
    """A loaded module that takes and gives tensors in the order of the record's inputs and outputs."""

    def __init__(self, module: Any, record: GraphRecord, device: str, kind: str) -> None:
        self._module, self._device, self._kind = module, device, kind
        self.inputs = record.inputs
        self.outputs = record.outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        import torch

        check_inputs(self.inputs, inputs)
        tensors = [torch.from_numpy(np.array(inputs[spec.name])).to(self._device) for spec in self.inputs]
        try:
            with torch.inference_mode():
                result = self._module(*tensors)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise BackendError(f"{self._kind} failed: {error}") from None
        results = result if isinstance(result, tuple) else (result,)
        names = [spec.name for spec in self.outputs]
        if len(results) != len(names):
            raise BackendError(f"The graph gave {len(results)} outputs where the manifest names {', '.join(names)}.")
        return {name: tensor.cpu().numpy() for name, tensor in zip(names, results, strict=True)}
