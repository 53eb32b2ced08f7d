"""What a caller asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from aedeploy.bundle import Bundle
from aedeploy.bundle.locate import find_bundle
from aedeploy.bundle.manifest import Pixels
from aedeploy.errors import ConfigError, did_you_mean
from aedeploy.images.geometry import Resize
from aedeploy.images.read import MAX_PIXELS, Decode
from aedeploy.images.write import ImageOptions
from aedeploy.jobs.engines import Processes
from aedeploy.jobs.ledger import WHOLE, Part
from aedeploy.jobs.sources import Links, Selection
from aedeploy.jobs.spec import (
    Container,
    Denoising,
    JobName,
    LatentDtype,
    LatentFormat,
    OutputNames,
    OutputSize,
    Reading,
)

_QUANTILE = 0.99

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

OnError = Literal["skip", "fail"]
EngineName = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """A job over ``source``, into ``output``.

    Raises:
        ConfigError: a number is out of its range, or a choice is none of its values.
    """

    job: JobName
    bundle: Bundle
    grey_bundle: Bundle | None = None  # denoise only: for images of one channel; None: ``bundle`` for all
    source: str | Path  # what jobs/sources knows: a folder, a file, a list, an archive, a URL (decode: latents)
    output: Path
    selection: Selection = field(default_factory=Selection)

    backend: str | None = None  # None: onnxruntime, or what the bundle has graphs for
    model_format: str | None = None  # of the graphs; None: the backend's usual one that the bundle has
    pixels: Pixels | None = None  # which graphs, where the bundle has both
    device: str = "cpu"
    allow_failed: bool = False

    max_pixels: int = MAX_PIXELS
    decode: Decode = "full"
    resize: Resize = "exact"

    latent_format: LatentFormat = "parquet"  # encode only
    latent_dtype: LatentDtype = "float32"  # encode only
    images: ImageOptions = field(default_factory=ImageOptions)  # all others
    container: Container = "tree"
    size: OutputSize = "original"  # reconstruct and denoise only
    names: OutputNames = "short"
    tile: int | None = None  # reconstruct and denoise of a fully convolutional model; None: by memory
    score: bool = False  # reconstruct only, and so the three below
    heatmaps: bool = False
    calibrate: Path | None = None
    quantile: float = _QUANTILE
    sigma: float | None = None  # denoise only, and so the two below; levels of 255; None: estimated, image by image
    strength: float = 1.0  # of what the model gives, 0 to 1; the rest is the input
    compare: bool = False  # before and after side by side, in place of the clean image

    batch_size: int | None = None  # None: by the size of the model's images
    workers: int | None = None  # None: as many as cores
    processes: Processes = "auto"
    engine: EngineName = "local"
    address: str | None = None
    part: Part = WHOLE  # which of n processes that share the output folder
    overwrite: bool = False
    on_error: OnError = "skip"
    max_failures: str | None = None  # a number, or a share such as "5%"

    def __post_init__(self) -> None:
        for name, value in (("batch-size", self.batch_size), ("workers", self.workers), ("tile", self.tile)):
            if value is not None and value < 1:
                raise ConfigError(f"--{name} must be 1 or more, or auto: {value} is not.")
        if self.max_pixels < 1:
            raise ConfigError(f"--max-pixels must be 1 or more: {self.max_pixels} is not.")
        # A path has one slash of the two.
        if _URL.match(str(self.output)):
            raise ConfigError(
                f"--out is a folder of this machine, and {self.output} looks like a URL: write to a folder, "
                "and copy it there when the job is done."
            )
        for option, chosen, choices in (
            ("format", self.latent_format, get_args(LatentFormat)),
            ("dtype", self.latent_dtype, get_args(LatentDtype)),
            ("size", self.size, get_args(OutputSize)),
            ("names", self.names, get_args(OutputNames)),
            ("decode", self.decode, get_args(Decode)),
            ("resize", self.resize, get_args(Resize)),
            ("container", self.container, get_args(Container)),
            ("links", self.selection.links, get_args(Links)),
            ("processes", self.processes, get_args(Processes)),
            ("engine", self.engine, get_args(EngineName)),
            ("on-error", self.on_error, get_args(OnError)),
        ):
            if chosen not in choices:
                hint = did_you_mean(chosen, choices)
                raise ConfigError(f"--{option} is one of {', '.join(choices)}: {chosen!r} is not{hint}.")
        number, of = self.part
        if not 0 <= number < of:
            raise ConfigError(f"--shard is i/n with i from 0 to n - 1: {number}/{of} is not.")
        if of > 1 and self.overwrite:
            raise ConfigError("--overwrite with --shard would remove what others wrote: remove the --out folder first.")
        if not 0 < self.quantile < 1:
            raise ConfigError(f"--quantile lies between 0 and 1: {self.quantile} does not.")
        if self.address is not None and self.engine != "ray":
            raise ConfigError("--address is of a Ray cluster: pass --engine ray too.")
        if (self.heatmaps or self.calibrate) and not self.score:
            raise ConfigError("--heatmaps and --calibrate belong to --score: pass that too.")
        if self.quantile != _QUANTILE and self.calibrate is None:
            raise ConfigError("--quantile is of the errors of --calibrate DIR: pass that too.")
        if self.job != "denoise" and (self.denoising != Denoising() or self.grey_bundle is not None):
            raise ConfigError(f"--sigma, --strength and --compare are options of denoise, not of {self.job}.")
        if not 0 <= self.strength <= 1:
            raise ConfigError(
                f"--strength lies between 0, which leaves an image as it is, and 1: {self.strength:g} does not."
            )
        self.failures_allowed(0)

    @property
    def denoising(self) -> Denoising:
        """What the model is told of the noise, and what is written of what it gives."""
        return Denoising(sigma=self.sigma, strength=self.strength, compare=self.compare)

    @property
    def reading(self) -> Reading:
        """How images are read."""
        return Reading(max_pixels=self.max_pixels, decode=self.decode, resize=self.resize)

    def failures_allowed(self, inputs: int) -> int | None:
        """How many failures the job goes on with, of so many inputs; None: any number."""
        if self.on_error == "fail":
            return 0
        if self.max_failures is None:
            return None
        text = self.max_failures.strip()
        try:
            if text.endswith("%"):
                share = float(text[:-1])
                if not 0 <= share <= 100:
                    raise ValueError
                return int(inputs * share / 100)
            if (number := int(text)) < 0:
                raise ValueError
        except ValueError:
            raise ConfigError(
                f"--max-failures is a number or a share, such as 100 or 5%: {self.max_failures!r} is neither."
            ) from None
        return number

    def recorded(self) -> dict[str, Any]:
        """What the ledger keeps of it, so that  aedeploy jobs retry  can ask again: see :func:`recalled`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("overwrite", "part"):  # said again by whoever retries
            del values[name]
        values["bundle"] = str(self.bundle.path.resolve())
        values["grey_bundle"] = None if self.grey_bundle is None else str(self.grey_bundle.path.resolve())
        values["source"] = self._absolute_source()
        values["output"] = str(self.output.resolve())
        values["selection"] = asdict(self.selection)
        values["images"] = asdict(self.images)
        values["calibrate"] = None if self.calibrate is None else str(self.calibrate.resolve())
        return values

    def _absolute_source(self) -> str:
        path = Path(self.source)
        return str(path.absolute()) if path.exists() else str(self.source)


def recalled(values: Mapping[str, Any], bundle: Bundle) -> JobRequest:
    """The request of which a ledger kept ``values``, with its bundle opened again.

    Raises:
        ConfigError: this release does not know one of them.
        BundleError: the other bundle, of a job that has two, is not there any more.
    """
    known = {field.name for field in fields(JobRequest)}
    if unknown := set(values) - known:
        raise ConfigError(f"The ledger has options that this release does not know: {', '.join(sorted(unknown))}.")
    options = dict(values) | {"bundle": bundle}
    if options.get("grey_bundle") is not None:
        before = Path(options["grey_bundle"])
        options["grey_bundle"] = find_bundle(before if before.exists() else before.name)
    options["output"] = Path(options["output"])
    chosen = options["selection"]
    options["selection"] = Selection(
        include=tuple(chosen["include"]), exclude=tuple(chosen["exclude"]), links=chosen["links"]
    )
    options["images"] = ImageOptions(**options["images"])
    if options["calibrate"] is not None:
        options["calibrate"] = Path(options["calibrate"])
    return JobRequest(**options)
