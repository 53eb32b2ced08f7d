"""One exported file that has left its bundle: what it says of itself. Nothing in it is run; needs no torch.

.onnx, .ort   onnxruntime's metadata of a model
.pt, .pt2     the extra file aedeploy.json in PyTorch's archive, a zip; no pickle is read
.xml          OpenVINO's rt_info
.param        the last line, behind ncnn's layers
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from aedeploy.bundle import ImageContract, LatentContract, NoiseContract, TensorSpec
from aedeploy.bundle.manifest import Role
from aedeploy.config import Config, describe
from aedeploy.errors import AedeployError, BundleError
from aedeploy.files import sha256_of
from aedeploy.runtime.backends import ncnn
from aedeploy.runtime.backends.onnxruntime import closed_options

_PREFIX = "aedeploy."
_EXTRA_FILE = "aedeploy.json"
# Of the metadata: what is more is not ours, whatever it says.
_MOST_BYTES = 4 * 2**20


class FileContract(Config):
    """What goes into the graph and what comes out, and how an image file becomes its input."""

    image: ImageContract
    latent: LatentContract | None
    noise: NoiseContract | None = None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """What a file says of itself: a claim of whoever made it, which nothing in the file proves."""

    path: Path
    bytes: int
    sha256: str
    role: Role
    bundle_digest: str
    contract: FileContract
    recipe: dict[str, Any]
    versions: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        return {
            "file": self.path.name,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "role": self.role,
            "bundle_digest": self.bundle_digest,
            "contract": self.contract.model_dump(mode="json"),
            "recipe": self.recipe,
            "versions": self.versions,
        }


def suffixes() -> tuple[str, ...]:
    """Of the files that can be read."""
    return tuple(_READERS)


def read_exported_file(path: Path) -> ExportedFile:
    """Read what an exported file says of itself.

    Raises:
        BundleError: there is no such file, it cannot be read, or holds no metadata of ours.
        MissingDependencyError: what reads it is not installed.
    """
    if not path.is_file():
        raise BundleError(f"There is no file {path}: name an exported file, or a bundle.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise BundleError(f"{path} is no exported file: what can be read ends with {', '.join(_READERS)}.")
    metadata = reader(path)
    if f"{_PREFIX}role" not in metadata or f"{_PREFIX}contract" not in metadata:
        raise BundleError(
            f"{path} does not say what it is: it has no aedeploy metadata, so aedeploy did not export it."
        )
    try:
        contract = FileContract.model_validate_json(metadata[f"{_PREFIX}contract"])
        recipe, versions = (json.loads(metadata.get(f"{_PREFIX}{key}", "{}")) for key in ("recipe", "versions"))
        role = metadata[f"{_PREFIX}role"]
        if role not in get_args(Role) or not isinstance(recipe, dict) or not isinstance(versions, dict):
            raise ValueError(f"{role!r} is no graph that it knows")
    except ValidationError as error:
        raise BundleError(f"{path} says what this release cannot read: {describe(FileContract, error, '')}") from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} says what this release cannot read: {error}.") from None
    return ExportedFile(
        path=path,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
        role=role,  # type: ignore[arg-type]
        bundle_digest=metadata.get(f"{_PREFIX}bundle_digest", ""),
        contract=contract,
        recipe=recipe,
        versions={str(name): str(version) for name, version in versions.items()},
    )


def _of_onnxruntime(path: Path) -> dict[str, str]:
    import onnxruntime

    options = closed_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base but Exception
        raise _unreadable(path, str(error)) from None
    return dict(session.get_modelmeta().custom_metadata_map)


def _of_archive(path: Path) -> dict[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                # <folder>/extra/aedeploy.json, whatever the folder is called.
                if entry.filename.split("/")[1:] != ["extra", _EXTRA_FILE] or entry.file_size > _MOST_BYTES:
                    continue
                found = json.loads(archive.read(entry))
                return _strings(found)
    except (zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError, RuntimeError, EOFError) as error:
        raise _unreadable(path, str(error)) from None
    return {}


def _of_openvino(path: Path) -> dict[str, str]:
    """The structure is as large as the graph, without its weights: read as a stream, and only what is ours is kept."""
    from xml.parsers import expat

    found: dict[str, str] = {}
    open_tags: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        open_tags.append(tag)
        if open_tags[:-1] == ["net", "rt_info", "aedeploy"] and "value" in attributes:
            found[f"{_PREFIX}{tag}"] = attributes["value"]

    def end(tag: str) -> None:
        open_tags.pop()

    def refuse(*declaration: object) -> None:
        raise ValueError("it declares a document type, which no exported file does")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.StartDoctypeDeclHandler = start, end, refuse
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    return found


def _of_ncnn(path: Path) -> dict[str, str]:
    """Read as a stream, a line at a time: whatever the file is, no more than one of them is in memory."""
    marker = ncnn.METADATA.encode()
    try:
        with path.open("rb") as stream:
            if stream.readline(_MOST_BYTES).strip() != ncnn.MAGIC.encode():
                raise ValueError("it does not begin as ncnn's files do")
            while line := stream.readline(_MOST_BYTES):
                if line.startswith(marker):
                    return _strings(json.loads(line.removeprefix(marker)))
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None
    return {}


def _strings(found: object) -> dict[str, str]:
    if not isinstance(found, Mapping):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, str)}


def _unreadable(path: Path, why: str) -> AedeployError:
    reason = next((line.strip() for line in why.splitlines() if line.strip()), "no reason given")
    return BundleError(f"{path} cannot be read: {reason.rstrip('.')}.")


_READERS: dict[str, Callable[[Path], dict[str, str]]] = {
    ".onnx": _of_onnxruntime,
    ".ort": _of_onnxruntime,
    ".pt": _of_archive,
    ".pt2": _of_archive,
    ".xml": _of_openvino,
    ".param": _of_ncnn,
}
