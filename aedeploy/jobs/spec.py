"""What a shard task is given, and what it reports. Plain frozen data: it travels to other processes and machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from aedeploy.bundle.manifest import Pixels
from aedeploy.images.geometry import Resize
from aedeploy.images.read import MAX_PIXELS, Decode
from aedeploy.images.write import ImageOptions

JobName = Literal["encode", "decode", "reconstruct", "denoise"]
LatentFormat = Literal["parquet", "npy", "safetensors", "tar"]
LatentDtype = Literal["float32", "float16"]
Container = Literal["tree", "tar"]
OutputSize = Literal["original", "model"]
OutputNames = Literal["short", "full"]


#: The content of a file.
Content = bytes


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a job's inputs are: what INPUT on the command line came to."""

    kind: str  # the module of jobs/sources that reads it
    location: str  # what that module reads: an absolute path, a pattern or a URL


# Sources and members are tuples: there are a million of them, and they travel between processes in half the time.


class Source(NamedTuple):
    """One input: an image, or one row of a latents file. ``path`` is its identity in outputs and ledger."""

    path: str  # relative, '/' between its parts
    bytes: int  # of its content; of a row, of the file that holds it
    stamp: int  # another one where the content may be another: a time in nanoseconds, a CRC, a hash of an ETag
    file: str  # what its module of jobs/sources reads: ``path`` itself, an archive, a URL
    row: int = 0  # where in the file: the row of a latents file, the offset of a tar's member
    data: Content | None = None  # the content, of a stream that is read only once


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One input that gave no output, and why, in one line."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How an image file becomes what goes into the graph."""

    max_pixels: int = MAX_PIXELS
    decode: Decode = "full"
    resize: Resize = "exact"


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """``reconstruct --score``: what is written of each image's error."""

    heatmaps: bool = False
    threshold: float | None = None  # of ``mse``: above it an image is an anomaly
    quantile: float | None = None  # of the calibration images, that the threshold is


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """``denoise``: what the model is told of the noise, and what is written of what it gives."""

    sigma: float | None = None  # in levels of 255; None: estimated image by image, of a model that is told
    strength: float = 1.0  # of what the model gives, from 0 to 1; the rest is the input
    compare: bool = False  # the input and what became of it, side by side


#: What is done where nobody says.
USUAL_DENOISING = asdict(Denoising())


@dataclass(frozen=True, kw_only=True)
class GreyModel:
    """``denoise`` by two models: the one for images of one channel. All others go through the job's bundle."""

    bundle: str  # its folder
    bundle_digest: str
    graph_sha256: str | None  # as of the job's bundle


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a shard needs to know but its inputs."""

    job: JobName
    origin: Origin
    output: str  # the output folder
    bundle: str  # the bundle's folder
    bundle_digest: str
    graph_sha256: str | None  # None: the backend runs the weights themselves
    backend: str
    model_format: str | None  # as graph_sha256
    pixels: Pixels
    device: str
    allow_failed: bool
    reading: Reading = field(default_factory=Reading)
    latent_format: LatentFormat = "parquet"
    latent_dtype: LatentDtype = "float32"
    images: ImageOptions = field(default_factory=ImageOptions)
    container: Container = "tree"
    size: OutputSize = "original"
    names: OutputNames = "short"
    any_size: bool = False  # a fully convolutional model at each image's own size, in place of the model's
    tile: int | None = None  # with any_size: images above are cut into squares of this side; None: by memory
    scoring: Scoring | None = None
    denoising: Denoising | None = None  # of the job denoise
    grey: GreyModel | None = None  # None: all images go through the one bundle, whatever their channels
    scratch: str | None = None  # a folder for what is not yet whole; None: beside what it becomes

    @property
    def writes_images(self) -> bool:
        """Whether each input has an image of its own as output."""
        return self.job != "encode" and (self.scoring is None or self.scoring.heatmaps)

    def fingerprint(self) -> dict[str, Any]:
        """What makes one output differ from another of the same input. Folders may move and batches may change."""
        values = asdict(self)
        keys = ["job", "bundle_digest", "graph_sha256", "backend"]
        if self.job == "encode":
            keys += ["reading", "latent_format", "latent_dtype"]
        if self.writes_images:
            keys += ["images", "container", "names"]
        if self.job in ("reconstruct", "denoise"):
            keys += ["reading", "size", "any_size", "tile", "scoring"]
        picked = {key: values[key] for key in keys}
        if self.grey is not None:
            picked |= {"grey_bundle_digest": self.grey.bundle_digest, "grey_graph_sha256": self.grey.graph_sha256}
        if self.denoising is not None:  # the usual ones are left out, as ledgers of older releases do
            picked |= {key: value for key, value in asdict(self.denoising).items() if value != USUAL_DENOISING[key]}
        if "reading" in picked:  # which images are refused does not change the others
            picked["reading"] = {key: picked["reading"][key] for key in ("decode", "resize")}
        return picked


@dataclass(frozen=True, kw_only=True)
class ShardSpec:
    """One unit of work."""

    settings: Settings
    number: int  # unique within the output folder
    sources: tuple[Source, ...]
    batch_size: int  # images that are read and run at a time: part of the spec, since sums round by it
    crashed: tuple[Failure, ...] = ()  # of the sources, those that are not to be read again


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file that a shard wrote for all of its inputs together."""

    file: str  # relative to the output folder
    bytes: int


class Member(NamedTuple):
    """An input that a shard dealt with, as the ledger keeps it."""

    path: str
    bytes: int
    stamp: int
    digest: str  # of its content, 16 hexadecimal digits; empty where it was not read


#: Seconds of one worker, by stage: read, decode, infer, score, write.
StageSeconds = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ShardReport:
    """What became of a shard. Inputs that are not in ``members`` were not begun, or lost with ``error``."""

    number: int
    members: tuple[Member, ...]  # ok and failed, in the order of the spec
    failures: tuple[Failure, ...]
    outputs: tuple[Output, ...] = ()  # none where every input has its own output, or none is ok
    seconds: StageSeconds = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what the person who waits should know, such as a batch that was halved
    error: Exception | None = None  # what keeps the job from going on
