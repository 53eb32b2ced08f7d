"""TorchScript, through PyTorch's own interpreter. Needs torch, imported when a graph is opened."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.errors import BackendError, MissingDependencyError
from aedeploy.runtime.runner import Arrays, GraphRunner, RunnerLifetime, check_inputs

FORMATS: tuple[str, ...] = ("torchscript",)
DEVICES = ("cpu", "cuda", "mps")


def missing() -> str | None:
    return None if importlib.util.find_spec("torch") else "torch"


def open_graph(bundle: Bundle, record: GraphRecord, *, device: str, threads: int) -> GraphRunner:
    """Load a graph. A TorchScript file is a program of its maker's: its digest is checked, its intent cannot be.

    Raises:
        MissingDependencyError: torch is not installed.
        BackendError: the device is not there, or the file cannot be loaded.
    """
    if missing():
        raise MissingDependencyError("torch", "train", "The backend 'torchscript'")
    import torch

    check_torch_device(device)
    path = bundle.file(record.file)
    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        # Deprecated by PyTorch, and still what libtorch and Triton load: that is why this backend exists.
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated", category=DeprecationWarning)
        try:
            module = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(path.read_bytes()), map_location=device
            )
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"torch cannot load {record.file.path}: {error}") from None
    return TorchScriptRunner(module, record, device)


def check_torch_device(device: str) -> None:
    """Raise a BackendError when PyTorch cannot use ``device``."""
    import torch

    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable.get(device, False):
        have = ", ".join(name for name, there in usable.items() if there)
        raise BackendError(f"--device {device}: PyTorch finds no such device here (it has {have}): use --device cpu.")


class TorchScriptRunner(RunnerLifetime):
    """A loaded TorchScript module behind the GraphRunner protocol."""

    def __init__(self, module: Any, record: GraphRecord, device: str) -> None:
        self._module = module
        self._device = device
        self.inputs = record.inputs
        self.outputs = record.outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        import torch

        check_inputs(self.inputs, inputs)
        tensors = [torch.from_numpy(np.array(inputs[spec.name])).to(self._device) for spec in self.inputs]
        try:
            with torch.inference_mode():
                result = self._module(*tensors)
        except RuntimeError as error:
            raise BackendError(f"TorchScript failed: {error}") from None
        results = result if isinstance(result, tuple) else (result,)
        names = [spec.name for spec in self.outputs]
        if len(results) != len(names):
            raise BackendError(f"The graph gave {len(results)} outputs where the manifest names {', '.join(names)}.")
        return {name: tensor.cpu().numpy() for name, tensor in zip(names, results, strict=True)}
