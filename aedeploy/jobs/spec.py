"""What a shard task is given, and what it reports. Plain frozen data: it travels to other processes and machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from aedeploy.bundle.manifest import Pixels

JobName = Literal["encode", "decode", "reconstruct", "denoise"]
LatentFormat = Literal["parquet", "npy", "safetensors"]
OutputSize = Literal["original", "model"]
OutputNames = Literal["short", "full"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One input: an image file, or one row of a latents file. ``path`` is its identity in outputs and ledger."""

    path: str  # of the image, relative to the input folder, '/' between its parts
    bytes: int  # of the file that holds it
    mtime_ns: int
    file: str  # the file that holds it, relative to the input folder: ``path`` itself, or the latents file
    row: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One input that gave no output, and why, in one line."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a shard needs to know but its inputs."""

    job: JobName
    root: str  # the input folder
    output: str  # the output folder
    bundle: str  # the bundle's folder
    bundle_digest: str
    graph_sha256: str | None  # None: the backend runs the weights themselves
    backend: str
    model_format: str | None  # as graph_sha256
    pixels: Pixels
    device: str
    allow_failed: bool
    latent_format: LatentFormat
    size: OutputSize
    names: OutputNames

    def fingerprint(self) -> dict[str, Any]:
        """What makes one output differ from another of the same input. Folders may move and batches may change."""
        keys = {
            "encode": ("latent_format",),
            "decode": ("names",),
            "reconstruct": ("size", "names"),
            "denoise": ("size", "names"),
        }[self.job]
        values = asdict(self)
        return {key: values[key] for key in ("job", "bundle_digest", "graph_sha256", "backend", *keys)}


@dataclass(frozen=True, kw_only=True)
class ShardSpec:
    """One unit of work."""

    settings: Settings
    number: int  # unique within the output folder
    sources: tuple[Source, ...]
    batch_size: int  # images that are read and run at a time: part of the spec, since sums round by it


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file that a shard wrote for all of its inputs together."""

    file: str  # relative to the output folder
    bytes: int


@dataclass(frozen=True, kw_only=True)
class ShardReport:
    """What became of a shard. Inputs that are not in ``processed`` were not begun, or lost with ``error``."""

    number: int
    processed: tuple[Source, ...]  # ok and failed, in the order of the spec
    failures: tuple[Failure, ...]
    outputs: tuple[Output, ...] = ()  # none where every input has its own output, or none is ok
    error: Exception | None = None  # what keeps the job from going on
