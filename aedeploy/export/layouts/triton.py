"""A model repository for Triton Inference Server: config.pbtxt and model, one folder a graph.

    DIR/<bundle>-<role>-<format>/config.pbtxt
    DIR/<bundle>-<role>-<format>/1/model.onnx, or 1/model.pt

The rules are those of Triton's documentation (model repository, model configuration) and of its ModelConfig schema.
There is no ensemble of encoder and decoder: that is the autoencoder, which is a graph of its own.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from aedeploy.bundle import Bundle, GraphRecord, TensorSpec
from aedeploy.parity.inputs import BATCHES

#: The largest batch at which parity was proven: Triton makes none that is larger.
MAX_BATCH_SIZE = max(BATCHES)

_MARK = "# Written by aedeploy export --layout triton."
_TYPES = {"float32": "TYPE_FP32", "int64": "TYPE_INT64", "uint8": "TYPE_UINT8"}
# By a file's suffix: Triton's backend, the platform's name in older releases, the file's name.
_BACKENDS = {
    ".onnx": ("onnxruntime", "onnxruntime_onnx", "model.onnx"),
    ".pt": ("pytorch", "pytorch_libtorch", "model.pt"),
}


def runs(graph: GraphRecord) -> bool:
    """ONNX graphs of any precision, and TorchScript."""
    return _suffix(graph) in _BACKENDS and graph.data is None


def lay_out(bundle: Bundle, graphs: Sequence[GraphRecord], folder: Path) -> None:
    """Write one model a graph into an empty folder."""
    for graph in graphs:
        name = model_name(bundle, graph)
        model = folder / name
        (model / "1").mkdir(parents=True)
        *_, file = _BACKENDS[_suffix(graph)]
        shutil.copyfile(bundle.file(graph.file), model / "1" / file)
        (model / "config.pbtxt").write_text(config(bundle, graph), encoding="utf-8")


def is_ours(folder: Path) -> bool:
    """Whether every entry is a model that was written here, and nothing was added to it."""
    return all(_is_model(entry) for entry in folder.iterdir())


def model_name(bundle: Bundle, graph: GraphRecord) -> str:
    """The name of a graph's model: ASCII letters, digits, '-' and '_', good in URLs and on any file system.

    A bundle's name that had to be changed for that is followed by the start of its digest, so that no two meet.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", bundle.name).strip("-")[:64]
    if plain != bundle.name:
        plain = "-".join(filter(None, (plain, bundle.manifest.digest[:8])))
    pixels = [] if graph.pixels == "float32" else [graph.pixels]
    return "-".join([plain, graph.role, graph.format, *pixels])


def config(bundle: Bundle, graph: GraphRecord) -> str:
    """The text of a graph's config.pbtxt."""
    backend, platform, file = _BACKENDS[_suffix(graph)]
    lines = [
        _MARK,
        f"name: {_quoted(model_name(bundle, graph))}",
        f"backend: {_quoted(backend)}",
        f"platform: {_quoted(platform)}",
        f"default_model_filename: {_quoted(file)}",
        "",
        "# Dimensions are without the batch, which is Triton's own.",
        f"max_batch_size: {MAX_BATCH_SIZE}",
        "dynamic_batching { }",
        "",
        *_tensors("input", graph, graph.inputs),
        *_tensors("output", graph, graph.outputs),
    ]
    for key, value in _parameters(bundle, graph).items():
        lines.append(f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}")
    return "\n".join(lines) + "\n"


def _tensors(kind: str, graph: GraphRecord, specs: Sequence[TensorSpec]) -> list[str]:
    lines = []
    for at, spec in enumerate(specs):
        # A TorchScript file does not name its inputs and outputs: Triton goes by their numbers.
        name = spec.name if _suffix(graph) == ".onnx" else f"{kind.upper()}__{at}"
        _, *rest = spec.shape
        dims = [-1 if isinstance(size, str) else size for size in rest]
        lines += [
            f"{kind} {{",
            f"  name: {_quoted(name)}" + (f"  # {spec.name}" if name != spec.name else ""),
            f"  data_type: {_TYPES[spec.dtype]}",
            # A tensor of one number an image has no dimension of its own, and Triton knows no empty shape.
            f"  dims: [ {', '.join(map(str, dims or [1]))} ]",
            *([] if dims else ["  reshape { shape: [ ] }"]),
            "}",
            "",
        ]
    return lines


def _parameters(bundle: Bundle, graph: GraphRecord) -> dict[str, str]:
    """What Triton hands on to whoever asks for the model's configuration: which graph of which model this is."""
    return {
        "aedeploy.bundle_digest": bundle.manifest.digest,
        "aedeploy.role": graph.role,
        "aedeploy.sha256": graph.file.sha256,
    }


def _suffix(graph: GraphRecord) -> str:
    return Path(graph.file.path).suffix


def _quoted(text: str) -> str:
    """A string of protobuf's text format: what is not ASCII as the bytes of its UTF-8."""
    if all(32 <= ord(letter) < 127 for letter in text):
        return json.dumps(text)
    return '"' + "".join(f"\\{byte:03o}" for byte in text.encode()) + '"'


def _is_model(folder: Path) -> bool:
    configuration = folder / "config.pbtxt"
    if not configuration.is_file() or not configuration.read_bytes().startswith(_MARK.encode()):
        return False
    known = {"config.pbtxt", "1", *(f"1/{file}" for *_, file in _BACKENDS.values())}
    return all(path.relative_to(folder).as_posix() in known for path in folder.rglob("*"))
