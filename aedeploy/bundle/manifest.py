"""What ``bundle.json`` may say: the contract between whoever trained a model and whatever runs it.

Strict on purpose: a key that this version does not know may change what the others mean, so it is refused
by name. The JSON Schema of these classes is published as ``docs/bundle.schema.json``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from aedeploy.config import Config, describe
from aedeploy.errors import ManifestError

#: The version of the manifest's schema that this release writes, and the newest that it reads.
SCHEMA_VERSION = 2

Role = Literal["encoder", "decoder", "autoencoder"]
ROLES: tuple[Role, ...] = ("encoder", "decoder", "autoencoder")

#: How images go in and come out. float32: [batch, C, H, W] in [0, 1]; uint8: [batch, H, W, C], as decoders give them.
Pixels = Literal["float32", "uint8"]


def _inside_the_bundle(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ":" in path or ".." in parts or "\0" in path:
        raise ValueError("a file's path must be relative, with '/' between its parts, and stay inside the bundle")
    return path


InsidePath = Annotated[str, AfterValidator(_inside_the_bundle)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Dimension = int | str  # a fixed size, or the name of a dynamic one: "batch", "height", "width", "latent_height", …


class FileRecord(Config):
    """One file of the bundle and what proves that it is the one that was written."""

    path: InsidePath = Field(description="Relative to the bundle's directory, '/' between its parts.")
    sha256: Sha256
    bytes: int = Field(ge=0)


class TensorSpec(Config):
    """One named input or output of a graph."""

    name: str
    dtype: Literal["float32", "int64", "uint8"]
    shape: tuple[Dimension, ...] = Field(description="A number is fixed; a name is dynamic, equal names are equal.")
    minimum: float | None = Field(default=None, description="No value is below it; null where there is no bound.")
    maximum: float | None = Field(default=None, description="No value is above it; null where there is no bound.")


class ImageContract(Config):
    """How an image file becomes the ``image`` input: geometry and colour; values are the graph's own business."""

    channels: Literal[1, 3]
    mode: Literal["L", "RGB"] = Field(description="Pillow's name of the colour mode that an image is converted to.")
    height: int = Field(ge=1, description="Pixels. Of a dynamic size: the size used in training.")
    width: int = Field(ge=1)
    dynamic_size: bool = Field(description="Whether the graphs take other heights and widths, by the size rule.")
    multiple_of: int = Field(default=1, ge=1, description="Size rule: height and width are multiples of this.")
    minimum: int = Field(default=1, ge=1, description="Size rule: the least height and width.")
    exif_orientation: Literal["applied"] = "applied"
    alpha: Literal["dropped"] = "dropped"
    resize: Literal["exact"] = Field(default="exact", description="exact: to height × width, whatever the aspect.")
    resample: Literal["bilinear"] = Field(default="bilinear", description="Antialiased when it reduces.")
    pixel_range: tuple[float, float] = Field(default=(0.0, 1.0), description="A byte b goes in as b / 255.")


class AnySize(Config):
    """What running the autoencoder on images of any size takes: how tiles must overlap, and memory."""

    radius: int | None = Field(
        ge=0,
        description="Pixels: a pixel of the reconstruction depends on none of the image that is farther away in a row "
        "or a column. null: there is no such distance, and an image must not be cut into tiles.",
    )
    stride: int = Field(ge=1, description="Pixels: tiles that begin at multiples of it are computed alike.")
    bytes_per_pixel: int = Field(ge=1, description="Of memory for PyTorch's float32 values at their most, estimated.")
    unbounded_by: str | None = Field(default=None, description="Why there is no radius; null where there is one.")

    def __str__(self) -> str:
        if self.radius is None:
            return f"whole images only, not in tiles, because of {self.unbounded_by}"
        return f"each pixel depends on others up to {self.radius} px away, so large ones can go through in tiles"


class LatentContract(Config):
    """What the encoder gives and the decoder takes."""

    shape: tuple[Dimension, ...] = Field(description="Of one image, without the batch.")
    kind: Literal["vector", "spatial"]
    distribution: Literal["point", "gaussian"] = Field(description="gaussian: latent is the mean, logvar comes too.")
    codebook_size: int | None = Field(default=None, ge=1, description="Indices are from 0 to one less.")
    masked: bool = Field(default=False, description="All but some entries are set to 0, by a choice among them.")


#: The name of the input by which a graph is told how much noise there is.
SIGMA = "sigma"


class NoiseContract(Config):
    """What a denoiser is told of the noise in an image: the input ``sigma``, a map, [batch, 1, height, width]."""

    unit: Literal["levels of 255"] = Field(
        default="levels of 255", description="Of sigma: the noise's standard deviation where white is 255."
    )
    maximum: float = Field(gt=0.0, le=255.0, description="The most noise that the model was trained on.")


class Quantisation(Config):
    """How a graph computes in less than float32, and what that cost when it was measured."""

    precision: Literal["float16", "int8"]
    float_layers: tuple[str, ...] = Field(default=(), description="Nodes that were left in float32.")
    psnr: float | None = Field(default=None, description="dB, of its images against the float32 graph's.")
    calibration: Literal["minmax", "entropy"] | None = Field(default=None, description="int8: how ranges were chosen.")
    calibration_images: int | None = Field(default=None, ge=1, description="int8: how many images they come from.")
    calibration_digest: Sha256 | None = Field(default=None, description="int8: of those images' pixels.")
    reduced_range: bool | None = Field(default=None, description="int8: weights of 7 bits, exact on any x86.")


class GraphRecord(Config):
    """One exported graph."""

    role: Role
    format: str
    pixels: Pixels = Field(default="float32", description="The dtype of images; uint8 ones are [batch, H, W, C].")
    file: FileRecord
    data: FileRecord | None = Field(default=None, description="A second file of the graph, such as OpenVINO's weights.")
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parity: Literal["passed", "failed", "unchecked"]
    opset: int | None = Field(default=None, description="ONNX: the opset read back from the file.")
    ir_version: int | None = Field(default=None, description="ONNX: the IR version read back from the file.")
    quantisation: Quantisation | None = Field(default=None, description="null: float32 throughout.")
    tolerances: dict[str, float] = Field(
        default_factory=dict, description="What was asked for in place of the usual tolerances when it was judged."
    )
    producer: dict[str, str] = Field(description="The versions that wrote it.")
    oldest_runtime: str | None = Field(default=None, description="The oldest release of the runtime that loads it.")

    @property
    def variant(self) -> str:
        """Format and pixels, for a person: ``onnx``, or ``onnx uint8``."""
        return variant_name(self.format, self.pixels)


def variant_name(format: str, pixels: Pixels) -> str:
    """What a graph of that format and those pixels is called: ``onnx``, or ``onnx uint8``."""
    return format if pixels == "float32" else f"{format} {pixels}"


class DataRecord(Config):
    """What the model was trained on."""

    name: str
    digest: Sha256 = Field(description="Of the pixels and their order.")
    train: int = Field(ge=1, description="Images trained on.")
    held_out: int = Field(ge=1, description="Images held out: they choose the best weights and give the figures.")
    split: str = Field(description="How the held-out images were chosen.")
    preparation: str | None = Field(default=None, description="What was done to the files; null: see the recipe.")
    files: tuple[str, ...] = Field(default=(), description="Their names, where the recipe asks for them.")


class Provenance(Config):
    """Where the model comes from. Nothing here names a path, a user or a host."""

    created: str = Field(description="UTC, ISO 8601.")
    packages: dict[str, str]
    platform: str
    seed: int | None
    data: DataRecord | None


class Manifest(Config):
    """The whole of ``bundle.json``."""

    schema_version: int = Field(strict=True, ge=1, le=SCHEMA_VERSION)
    name: str
    recipe: dict[str, Any] = Field(description="The resolved recipe: model, corruption, objective, training.")
    image: ImageContract
    latent: LatentContract | None = Field(description="null: the model cannot be cut, it has an autoencoder only.")
    any_size: AnySize | None = Field(
        default=None, description="Measured at export. null: the model has one size, or an older release exported it."
    )
    noise: NoiseContract | None = Field(
        default=None, description="null: the graphs take the image alone, and are told nothing of its noise."
    )
    weights: FileRecord
    golden: FileRecord
    graphs: tuple[GraphRecord, ...] = ()
    metrics: dict[str, float | int | None] = Field(description="Measured on the held-out images.")
    provenance: Provenance
    software: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="By 'training', or a format: every package and version that took part in writing it.",
    )

    @model_validator(mode="after")
    def _graphs_are_consistent(self) -> Self:
        kinds = [(graph.format, graph.pixels, graph.role) for graph in self.graphs]
        if len(set(kinds)) < len(kinds):
            raise ValueError("there are two graphs of the same format, pixels and role")
        if self.latent is None and any(role != "autoencoder" for *_, role in kinds):
            raise ValueError("a model without a latent has an autoencoder graph only")
        return self

    @property
    def digest(self) -> str:
        """What identifies the model: its weights and contracts, not how often it was exported."""
        identity = {
            "weights": self.weights.sha256,
            "image": self.image.model_dump(mode="json"),
            "latent": self.latent.model_dump(mode="json") if self.latent else None,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    @property
    def denoises(self) -> bool:
        """Whether the model was trained to give clean images back for corrupted ones."""
        return bool(self.recipe.get("corruption"))

    def graph(self, role: str, format: str, pixels: Pixels = "float32") -> GraphRecord | None:
        """The graph of that role, format and pixels, or None."""
        wanted = (role, format, pixels)
        return next((g for g in self.graphs if (g.role, g.format, g.pixels) == wanted), None)


def parse_manifest(text: str, where: str) -> Manifest:
    """Read a manifest; ``where`` names the file in messages.

    Raises:
        ManifestError: it is not JSON, of a newer schema, has an unknown key, or a path that leaves the bundle.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"{where} is not JSON ({error}): the bundle is damaged; restore it or train again."
        ) from None
    if not isinstance(values, dict):
        raise ManifestError(f"{where} holds no JSON object: the bundle is damaged; restore it or train again.")
    version = values.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ManifestError(
            f"{where} has schema version {version}, and this release reads up to {SCHEMA_VERSION}: upgrade aedeploy."
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"{where}: {describe(Manifest, error, '')}") from None
