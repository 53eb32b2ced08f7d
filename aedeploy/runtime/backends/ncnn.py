"""ncnn, on its own .param and .bin: computed in float32, as was asked, and not in the half precision of its default."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from aedeploy.bundle import Bundle, GraphRecord, ImageContract, TensorSpec
from aedeploy.errors import BackendError, MissingDependencyError
from aedeploy.runtime.runner import Arrays, GraphRunner, RunnerLifetime, check_inputs

if TYPE_CHECKING:
    from types import ModuleType

FORMATS: tuple[str, ...] = ("ncnn",)
DEVICES = ("cpu",)

#: The first line of a .param file.
MAGIC = "7767517"

#: What begins the last line of a .param file, behind the layers, where ncnn has stopped reading: JSON follows.
METADATA = "aedeploy.json "

#: Of the options of a net, those by which it would compute in less than float32; and the two of Winograd's tiles whose
#: transforms lose a digit of it, or half of one: 5e-5 and 8e-6 of a pixel, against 5e-6 of the others, measured.
_LESS = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
    "use_int8_inference",
    "use_winograd63_convolution",
    "use_winograd43_convolution",
)

#: Values of an image from which on threads share the work. They do so layer by layer, and wait for one another at the
#: end of each: of small images that takes longer than the work itself.
_WORTH_SHARING = 2**16


def missing() -> str | None:
    return None if importlib.util.find_spec("ncnn") else "ncnn"


def load_ncnn() -> ModuleType:
    """The package ``ncnn``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    if missing():
        raise MissingDependencyError("ncnn", "ncnn", "ncnn")
    return importlib.import_module("ncnn")


def open_graph(bundle: Bundle, record: GraphRecord, *, device: str, threads: int) -> GraphRunner:
    """Load a graph into a net of its own.

    Raises:
        MissingDependencyError: ncnn is not installed.
        BackendError: the files cannot be read or are another graph's.
    """
    ncnn = load_ncnn()
    if record.data is None:
        raise BackendError(f"{record.file.path} has no file of weights beside it in the manifest: export again.")
    structure, weights = bundle.file(record.file), bundle.file(record.data)
    net = ncnn.Net()
    net.opt.num_threads = threads if _values(bundle.manifest.image) >= _WORTH_SHARING else 1
    for option in _LESS:
        if hasattr(net.opt, option):  # older releases have fewer
            setattr(net.opt, option, False)
    # What it cannot read it says on stderr, and some of it only when it runs: so a look before it.
    _check_layers(ncnn, structure.read_bytes(), record)
    if net.load_param(str(structure)) or net.load_model(str(weights)):
        raise BackendError(f"ncnn cannot open {record.file.path}: it is damaged, or its weights are another graph's.")
    return NcnnRunner(ncnn, net, record)


def _values(image: ImageContract) -> int:
    return image.channels * image.height * image.width


def _check_layers(ncnn: Any, structure: bytes, record: GraphRecord) -> None:
    """Raise a BackendError for what is no .param file, or has a layer that this ncnn does not know."""
    lines = structure.decode("utf-8", errors="replace").splitlines()
    try:
        if lines[0] != MAGIC:
            raise ValueError(lines[0])
        kinds = [line.split()[0] for line in lines[2 : 2 + int(lines[1].split()[0])]]
    except (IndexError, ValueError):
        raise BackendError(f"ncnn cannot open {record.file.path}: it is no .param file of ncnn's.") from None
    unknown = next((kind for kind in kinds if ncnn.layer_to_index(kind) < 0), None)
    if unknown is not None:
        raise BackendError(
            f"ncnn cannot open {record.file.path}: ncnn {ncnn.__version__} has no layer {unknown}: install a newer one."
        )


class NcnnRunner(RunnerLifetime):
    """A net behind the GraphRunner protocol: one image at a time, since ncnn has no batch."""

    def __init__(self, ncnn: Any, net: Any, record: GraphRecord) -> None:
        self._ncnn, self._net = ncnn, net
        self.inputs = record.inputs
        self.outputs = record.outputs
        for specs, names in ((record.inputs, net.input_names()), (record.outputs, net.output_names())):
            if sorted(spec.name for spec in specs) != sorted(names):
                raise BackendError(
                    f"{record.file.path} does not have the inputs and outputs of the manifest (it has "
                    f"{', '.join(names)}): it is another graph's file; export again."
                )

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        check_inputs(self.inputs, inputs)
        floats = [np.ascontiguousarray(inputs[spec.name], dtype=np.float32) for spec in self.inputs]
        results = [self._run_one([array[at] for array in floats]) for at in range(len(floats[0]))]
        return {spec.name: _joined(spec, [blobs[at] for blobs in results]) for at, spec in enumerate(self.outputs)}

    def close(self) -> None:
        self._net.clear()

    def _run_one(self, given: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs for one image, from its inputs, as float32."""
        extractor = self._net.create_extractor()
        for spec, array in zip(self.inputs, given, strict=True):
            # A copy: layers that work in place would write into the caller's array.
            if extractor.input(spec.name, self._ncnn.Mat(array).clone()):
                raise BackendError(f"ncnn failed: it did not take {spec.name!r}.")
        blobs = []
        for spec in self.outputs:
            status, blob = extractor.extract(spec.name)
            if status:
                raise BackendError(f"ncnn failed: it did not give {spec.name!r} (status {status}).")
            blobs.append(np.array(blob))
            _check_shape(spec, blobs[-1].shape)
        return blobs


def _check_shape(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    fits = len(shape) == len(spec.shape) - 1 and all(
        isinstance(want, str) or want == got for want, got in zip(spec.shape[1:], shape, strict=True)
    )
    if not fits:
        raise BackendError(f"ncnn gave {spec.name!r} as {list(shape)} an image, not as {list(spec.shape[1:])}.")


def _joined(spec: TensorSpec, images: list[np.ndarray]) -> np.ndarray:
    """A batch of what came out image by image, of the dtype that the contract says."""
    if not images:
        return np.zeros([size if isinstance(size, int) else 0 for size in spec.shape], spec.dtype)
    batch = np.stack(images)
    if spec.dtype == "float32":
        return batch
    # ncnn has no integers: indices and bytes are floats, exactly. What is no number becomes any.
    with np.errstate(invalid="ignore"):
        rounded: np.ndarray = np.rint(batch).astype(spec.dtype)
    return rounded
