"""PyTorch's exported programs (.pt2), run by PyTorch. Needs torch, imported when a graph is opened."""

from __future__ import annotations

import importlib.util
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.errors import BackendError, MissingDependencyError
from aedeploy.runtime.backends.torchscript import check_torch_device
from aedeploy.runtime.runner import Arrays, GraphRunner, RunnerLifetime, check_inputs

FORMATS: tuple[str, ...] = ("exported-program",)
DEVICES = ("cpu", "cuda", "mps")


def missing() -> str | None:
    return None if importlib.util.find_spec("torch") else "torch"


def open_graph(bundle: Bundle, record: GraphRecord, *, device: str, threads: int) -> GraphRunner:
    """Load a program. A .pt2 file may run code of its maker's: its digest is checked, its intent cannot be.

    Raises:
        MissingDependencyError: torch is not installed.
        BackendError: the device is not there, or the file cannot be loaded.
    """
    if missing():
        raise MissingDependencyError("torch", "train", "The backend 'exported-program'")
    import torch

    check_torch_device(device)
    content = bundle.file(record.file).read_bytes()
    torch.set_num_threads(threads)
    try:
        with _without_traceback():
            program = torch.export.load(io.BytesIO(content))
            module = program.module().to(device)
    except Exception as error:  # the loader raises whatever its parts raise
        raise BackendError(f"torch cannot load {record.file.path}: {error}") from None
    return ExportedProgramRunner(module, record, device)


class ExportedProgramRunner(RunnerLifetime):
    """A loaded program behind the GraphRunner protocol."""

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
            with torch.no_grad():
                result = self._module(*tensors)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise BackendError(f"The exported program failed: {error}") from None
        results = result if isinstance(result, tuple) else (result,)
        names = [spec.name for spec in self.outputs]
        if len(results) != len(names):
            raise BackendError(f"The graph gave {len(results)} outputs where the manifest names {', '.join(names)}.")
        return {name: tensor.cpu().numpy() for name, tensor in zip(names, results, strict=True)}


@contextmanager
def _without_traceback() -> Iterator[None]:
    """PyTorch logs a traceback of what it also raises."""
    logger = logging.getLogger("torch.export")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
