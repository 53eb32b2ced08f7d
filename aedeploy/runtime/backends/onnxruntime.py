"""onnxruntime, on ONNX graphs and its own: the engine of the base install."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.errors import BackendError
from aedeploy.runtime.runner import Arrays, GraphRunner, RunnerLifetime, check_inputs

if TYPE_CHECKING:
    import onnxruntime

FORMATS: tuple[str, ...] = ("onnx", "onnx-fp16", "onnx-int8", "ort")
DEVICES = ("cpu", "cuda")
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def missing() -> str | None:
    return None if importlib.util.find_spec("onnxruntime") else "onnxruntime"


def open_graph(bundle: Bundle, record: GraphRecord, *, device: str, threads: int) -> GraphRunner:
    """Open a fresh session at the optimisation level that onnxruntime uses by default.

    Raises:
        BackendError: the provider of ``device`` is not there, or the session cannot be made.
    """
    return OnnxRunner(open_session(bundle.file(record.file), device=device, threads=threads), record)


def closed_options() -> onnxruntime.SessionOptions:
    """Options by which a graph can take no other file for its weights: what it is made of is what was checked.

    A graph opened by its bytes would otherwise look for them from the current directory, and further up.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # The folder that they must be in: there are none below the null device.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    return options


def open_session(path: Path, *, device: str, threads: int) -> onnxruntime.InferenceSession:
    """A session on exactly the device that was asked for: onnxruntime itself would fall back to the CPU in silence."""
    import onnxruntime

    provider = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise BackendError(
            f"--device {device}: this onnxruntime has no {provider} (it has "
            f"{', '.join(onnxruntime.get_available_providers())}): install onnxruntime-gpu, or use --device cpu."
        )
    options = closed_options()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        # By its bytes, not its path: a path with odd characters is then nobody's problem.
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=[provider])
    except Exception as error:  # onnxruntime's exceptions have no common base but Exception
        raise BackendError(f"onnxruntime cannot open {path.name}: {error}") from None
    if session.get_providers()[0] != provider:
        raise BackendError(
            f"--device {device}: {provider} did not start (its libraries may be missing): use --device cpu."
        )
    return session


class OnnxRunner(RunnerLifetime):
    """An onnxruntime session behind the GraphRunner protocol."""

    def __init__(self, session: onnxruntime.InferenceSession, record: GraphRecord) -> None:
        self._session = session
        self.inputs = record.inputs
        self.outputs = record.outputs
        self._names = [spec.name for spec in record.outputs]
        present = [output.name for output in session.get_outputs()]
        if present != self._names or [i.name for i in session.get_inputs()] != [s.name for s in record.inputs]:
            raise BackendError(
                f"{record.file.path} does not have the inputs and outputs of the manifest (outputs {present}): "
                "it is another graph's file; export again."
            )

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        check_inputs(self.inputs, inputs)
        feed = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        try:
            results = self._session.run(self._names, feed)
        except Exception as error:  # as above
            raise BackendError(f"onnxruntime failed: {error}") from None
        return dict(zip(self._names, results, strict=True))
