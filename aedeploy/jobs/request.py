"""What a caller asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from aedeploy.bundle import Bundle
from aedeploy.bundle.manifest import Pixels
from aedeploy.errors import ConfigError, did_you_mean
from aedeploy.jobs.spec import JobName, LatentFormat, OutputNames, OutputSize


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """A job over ``source``, into ``output``.

    Raises:
        ConfigError: ``batch_size`` or ``workers`` is less than 1, or a choice is none of its values.
    """

    job: JobName
    bundle: Bundle
    source: Path  # a folder of images (decode: of latents), or one file
    output: Path
    backend: str | None = None  # None: onnxruntime, or what the bundle has graphs for
    model_format: str | None = None  # of the graphs; None: the backend's usual one that the bundle has
    pixels: Pixels | None = None  # which graphs, where the bundle has both
    device: str = "cpu"
    allow_failed: bool = False
    batch_size: int | None = None  # None: by the size of the model's images
    workers: int | None = None  # None: as many as cores
    latent_format: LatentFormat = "parquet"  # encode only
    size: OutputSize = "original"  # reconstruct and denoise only
    names: OutputNames = "short"  # decode, reconstruct and denoise
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, value in (("batch-size", self.batch_size), ("workers", self.workers)):
            if value is not None and value < 1:
                raise ConfigError(f"--{name} must be 1 or more, or auto: {value} is not.")
        for option, chosen, choices in (
            ("format", self.latent_format, get_args(LatentFormat)),
            ("size", self.size, get_args(OutputSize)),
            ("names", self.names, get_args(OutputNames)),
        ):
            if chosen not in choices:
                hint = did_you_mean(chosen, choices)
                raise ConfigError(f"--{option} is one of {', '.join(choices)}: {chosen!r} is not{hint}.")
