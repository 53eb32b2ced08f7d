"""PyTorch's exported programs (.pt2), run by PyTorch. Needs torch, imported when a graph is opened."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.errors import BackendError, MissingDependencyError
from aedeploy.runtime.backends._torch import TORCH_DEVICES, TorchRunner, check_torch_device, missing_torch
from aedeploy.runtime.runner import GraphRunner

FORMATS: tuple[str, ...] = ("exported-program",)
DEVICES = TORCH_DEVICES


def missing() -> str | None:
    return missing_torch()


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
    return TorchRunner(module, record, device, "The exported program")


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
