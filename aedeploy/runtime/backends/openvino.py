"""OpenVINO, on its own IR: computed in float32, as was asked, and not in the bfloat16 that it would choose."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.errors import BackendError, MissingDependencyError
from aedeploy.runtime.runner import Arrays, GraphRunner, RunnerLifetime, check_inputs

if TYPE_CHECKING:
    from types import ModuleType

FORMATS: tuple[str, ...] = ("openvino",)
DEVICES = ("cpu", "gpu")

#: The part of the package that reports its use over the network as soon as it is imported. Nothing here needs it.
_REPORTING = "openvino.tools.ovc"


def missing() -> str | None:
    return None if importlib.util.find_spec("openvino") else "openvino"


def load_openvino() -> ModuleType:
    """The package ``openvino``, without the converter that sends an event over the network when it is imported.

    Raises:
        MissingDependencyError: it is not installed.
    """
    if missing():
        raise MissingDependencyError("openvino", "openvino", "OpenVINO")
    if "openvino" in sys.modules or _REPORTING in sys.modules:
        return importlib.import_module("openvino")
    # Importing a module that is None is an ImportError, which the package takes for a converter not installed.
    sys.modules[_REPORTING] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[_REPORTING]


def open_graph(bundle: Bundle, record: GraphRecord, *, device: str, threads: int) -> GraphRunner:
    """Compile a graph for exactly the device that was asked for.

    Raises:
        MissingDependencyError: openvino is not installed.
        BackendError: the device is not there, or the files cannot be read or are another graph's.
    """
    openvino = load_openvino()
    core = openvino.Core()
    wanted = device.upper()
    available = core.available_devices
    if not any(name.partition(".")[0] == wanted for name in available):
        raise BackendError(
            f"--device {device}: OpenVINO finds no such device here (it has {', '.join(available).lower()}): "
            "install its driver, or use --device cpu."
        )
    if record.data is None:
        raise BackendError(f"{record.file.path} has no file of weights beside it in the manifest: export again.")
    structure, weights = bundle.file(record.file).read_bytes(), bundle.file(record.data).read_bytes()
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if device == "cpu":
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        # By its bytes, not its path: a path with odd characters is then nobody's problem.
        compiled = core.compile_model(core.read_model(structure, weights), wanted, settings)
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot open {record.file.path}: {_last_line(error)}") from None
    return OpenvinoRunner(compiled, record)


class OpenvinoRunner(RunnerLifetime):
    """A compiled model behind the GraphRunner protocol."""

    def __init__(self, compiled: Any, record: GraphRecord) -> None:
        self.inputs = record.inputs
        self.outputs = record.outputs
        self._names = [spec.name for spec in record.outputs]
        for specs, ports in ((record.inputs, compiled.inputs), (record.outputs, compiled.outputs)):
            # A tensor that passes through unchanged keeps its earlier names beside the last one.
            names = [port.get_names() for port in ports]
            if len(specs) != len(names) or any(
                spec.name not in given for spec, given in zip(specs, names, strict=True)
            ):
                present = ", ".join("/".join(sorted(given)) for given in names)
                raise BackendError(
                    f"{record.file.path} does not have the inputs and outputs of the manifest (it has {present}): "
                    "it is another graph's file; export again."
                )
        self._request = compiled.create_infer_request()

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        check_inputs(self.inputs, inputs)
        feed = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        try:
            # Outputs are copied: the request's own memory is written over by the next call.
            self._request.infer(feed, share_inputs=True, share_outputs=False)
            return {name: self._request.get_tensor(name).data.copy() for name in self._names}
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {_last_line(error)}") from None


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
