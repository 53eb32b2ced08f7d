"""TorchScript, through PyTorch's own interpreter. Needs torch, imported when a graph is opened."""

from __future__ import annotations

import io
import warnings

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.errors import BackendError, MissingDependencyError
from aedeploy.runtime.backends._torch import TORCH_DEVICES, TorchRunner, check_torch_device, missing_torch
from aedeploy.runtime.runner import GraphRunner

FORMATS: tuple[str, ...] = ("torchscript",)
DEVICES = TORCH_DEVICES


def missing() -> str | None:
    return missing_torch()


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
    return TorchRunner(module, record, device, "TorchScript")
