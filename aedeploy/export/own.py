"""Somebody's own model, from its code and weights to a complete bundle, exported and proven like every other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from aedeploy import __version__
from aedeploy.bundle import SCHEMA_VERSION, Bundle, Manifest, open_bundle
from aedeploy.bundle.card import write_card
from aedeploy.bundle.golden import MOST_SAMPLE_BYTES, MOST_SAMPLES
from aedeploy.bundle.store import GOLDEN_FILE, MANIFEST_FILE, WEIGHTS_FILE, record_file, write_manifest
from aedeploy.errors import ConfigError, ExportError, ParityError
from aedeploy.export.lint import lint, refuse, subject_of
from aedeploy.export.own_weights import load_weights
from aedeploy.export.run import ExportResult, export_bundle, staging_folder
from aedeploy.files import locked
from aedeploy.images.geometry import Geometry
from aedeploy.models.own import (
    OUTPUTS,
    SKIPPED,
    OwnAutoencoder,
    OwnModel,
    OwnModelConfig,
    attempt,
    can_be_cut,
    example,
    make,
    own_model,
    trust,
)
from aedeploy.models.returned import described
from aedeploy.models.store import provenance, write_model_files

#: How many times its multiple the least size of a fully convolutional model may be; more is no rule.
_LEAST_MULTIPLES = range(1, 9)


@dataclass(frozen=True, kw_only=True)
class OwnRequest:
    """What somebody says of their own model."""

    module: str  # package.module:factory, which is trusted by being named here
    image_shape: tuple[int, int, int]  # channels, height, width
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    outputs: tuple[str, ...] | None = None  # names of what encode returns; None: one tensor, the latent
    whole: bool = False  # do not cut it, whatever methods it has
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    output: Literal["normalised", "unit"] = "normalised"
    multiple_of: int | None = None
    denoises: bool = False
    samples_NHWC: np.ndarray | None = None  # real images of its kind, uint8; None: digits stand in for them


@dataclass(frozen=True, kw_only=True)
class OwnSource:
    """The model that was found, ready to be linted and written, and what its owner should know of it."""

    model: OwnModel
    config: OwnModelConfig
    samples_NHWC: np.ndarray
    denoises: bool
    notes: tuple[str, ...]


def examine(request: OwnRequest) -> OwnSource:
    """Import, build and load the model, and find its contract by running it. Nothing is written.

    Raises:
        ConfigError: an option does not fit the model; of an encoder that gives several tensors, which is which.
        ExportError: the model does not run on images of that size.
    """
    _check(request)
    trust(request.module)
    config = OwnModelConfig(
        module=request.module,
        arguments=dict(request.arguments),
        mean=request.mean,
        std=request.std,
        output=request.output,
        multiple_of=request.multiple_of,
        minimum=request.multiple_of or 1,
    )
    module, notes = make(config), []
    if request.weights is not None:
        load_weights(module, request.weights)
    else:
        notes.append("No --weights: these are the ones that the factory gave.")
    config = config.model_copy(update={"outputs": _outputs(module, config, request)})
    model = own_model(config, module, request.image_shape)
    _check_decoder(model, request)
    if config.multiple_of:
        config = config.model_copy(update={"minimum": _least_size(model, config.multiple_of)})
        model = own_model(config, module, request.image_shape)
    if config.minimum > (config.multiple_of or 1):
        notes.append(f"Images must be at least {config.minimum} pixels high and wide: smaller ones fail.")
    samples = request.samples_NHWC
    if samples is None:
        samples = stand_ins(model)
        notes.append(
            "No --samples: handwritten digits stand in for images of its kind, in golden vectors, parity and lint. "
            "Give a folder of real ones to have figures that mean something."
        )
    return OwnSource(model=model, config=config, samples_NHWC=samples, denoises=request.denoises, notes=tuple(notes))


def export_own(
    source: OwnSource, out: Path, formats: Sequence[str], *, overwrite: bool = False, **options: Any
) -> ExportResult:
    """Write the bundle of an own model into ``out`` and export it; ``options`` are those of :func:`export_bundle`.

    ``out`` appears when all is done, and not at all where the export is refused. Where parity fails it is there, marked
    as failed, to be looked into.

    Raises:
        ConfigError: ``out`` is taken; and as :func:`export_bundle`.
        ParityError: as :func:`export_bundle`; the bundle is there.
    """
    check_out(out, overwrite=overwrite)
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with staging_folder(out.absolute().parent) as staging:
        # Of a model that the lint refuses not even golden vectors can be made.
        start = perf_counter()
        findings = lint(subject_of(source.model, source.samples_NHWC, formats))
        refuse(findings)
        seconds = {"lint": perf_counter() - start}
        bundle = _write(staging / "bundle", out.absolute().name, source)
        try:
            result = export_bundle(bundle, formats, findings=findings, **options)
        except ParityError:
            _put(bundle.path, out, staging, overwrite=overwrite)
            raise
        _put(bundle.path, out, staging, overwrite=overwrite)
    return replace(result, bundle=open_bundle(out), seconds={**result.seconds, **seconds})


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds what nobody asked to replace.

    Raises:
        ConfigError: as above.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise ConfigError(f"--out {out} is there already: name another folder, or give --overwrite to replace it.")
    if not (out / MANIFEST_FILE).is_file():
        raise ConfigError(f"--overwrite replaces a bundle, and {out} holds something else: name another --out.")


def stand_ins(model: OwnModel) -> np.ndarray:
    """Handwritten digits in a model's size and colour, uint8 [N, H, W, C]: as many as a bundle keeps."""
    from aedeploy.data.digits import digits

    image = model.image
    geometry = Geometry(mode=image.mode, height=image.height, width=image.width)
    count = max(3, min(MOST_SAMPLES, MOST_SAMPLE_BYTES // (image.channels * image.height * image.width)))
    return np.stack([geometry.apply(Image.fromarray(digit[:, :, 0])) for digit in digits().held_out[:count]])


def _check(request: OwnRequest) -> None:
    package, colon, factory = request.module.partition(":")
    if not (package and colon and factory) or ":" in factory or any(map(str.isspace, request.module)):
        raise ConfigError(f"--module {request.module}: give package.module:factory, such as nets:Small.")
    channels, height, width = request.image_shape
    if channels not in (1, 3) or min(height, width) < 1:
        raise ConfigError(f"--input {channels}x{height}x{width}: images have 1 or 3 channels, and a height and width.")
    multiple = request.multiple_of
    if multiple is not None and (multiple < 1 or height % multiple or width % multiple):
        raise ConfigError(f"--dynamic-size {multiple}: the --input {height}x{width} is no multiple of it.")
    for option, values in (("mean", request.mean), ("std", request.std)):
        if len(values) not in (1, channels):
            raise ConfigError(f"--{option} has {len(values)} values, and the images have {channels} channels.")
    if not all(request.std):
        raise ConfigError("--std is what images are divided by: it cannot be 0.")
    if request.whole and request.outputs is not None:
        raise ConfigError("--whole exports the model uncut, and --outputs names what its encoder gives: give one.")


def _outputs(module: nn.Module, config: OwnModelConfig, request: OwnRequest) -> tuple[str, ...]:
    """The names of what encode returns; none of a model that is not to be cut."""
    if request.whole or not can_be_cut(module):
        if request.outputs is not None:
            raise ConfigError(
                f"--outputs: {request.module} has neither encode and decode methods nor encoder and decoder children, "
                "so there is no encoder to name the outputs of."
            )
        return ()
    adapter = OwnAutoencoder(module, config)
    parts = attempt(adapter, "encoder", example(request.image_shape))
    shapes = ", ".join(described(part) for part in parts)
    if request.outputs is None:
        if len(parts) == 1 and isinstance(parts[0], Tensor):
            return ("latent",)
        if len(parts) == 1:
            raise ConfigError(
                f"The encoder of {request.module} gives {shapes}, and must give a tensor or a tuple of some: wrap the "
                "model in a class whose encode returns what its decoder takes, such as the mean."
            )
        raise ConfigError(
            f"The encoder of {request.module} gives {len(parts)} values ({shapes}), and which is which cannot be "
            f"guessed: name each with --outputs, such as --outputs latent,logvar ({SKIPPED!r} skips one)."
        )
    if len(request.outputs) != len(parts):
        raise ConfigError(
            f"--outputs names {len(request.outputs)} values, and the encoder gives {len(parts)} ({shapes})."
        )
    named = [name for name in request.outputs if name != SKIPPED]
    if "latent" not in named or len(set(named)) < len(named) or not set(named) <= set(OUTPUTS):
        raise ConfigError(
            f"--outputs {','.join(request.outputs)}: the names are {', '.join(OUTPUTS)} and {SKIPPED}, each once but "
            "the last, and latent, which the decoder takes, must be among them."
        )
    for name, part in zip(request.outputs, parts, strict=True):
        if name != SKIPPED and not isinstance(part, Tensor):
            raise ConfigError(f"--outputs: {name} is {described(part)}, and must be a tensor ({shapes}).")
    return request.outputs


def _check_decoder(model: OwnModel, request: OwnRequest) -> None:
    """What cannot come back as an image is named before any rule of the lint meets it."""
    image = example(request.image_shape)
    result = attempt(model.module, "whole", image) if model.latent is None else None
    if result is None:
        latent = attempt(model.module, "encode", image)["latent"]
        result = attempt(model.module, "decode", latent)
    if not isinstance(result, Tensor) or result.ndim != 4 or not result.is_floating_point():
        raise ExportError(
            f"{request.module} gives {described(result)} where an image, float [batch, C, H, W], must come back: "
            "reshape it there."
        )


def _least_size(model: OwnModel, multiple: int) -> int:
    """The least height and width that run; the multiple itself where none does, which the lint will say."""
    channels = model.image.channels
    for times in _LEAST_MULTIPLES:
        try:
            with torch.no_grad():
                model.module(example((channels, times * multiple, times * multiple)))
        except Exception:  # whatever their code raises of a size that is too small
            continue
        return times * multiple
    return multiple


def _write(folder: Path, name: str, source: OwnSource) -> Bundle:
    """The bundle before its export."""
    folder.mkdir()
    samples = torch.from_numpy(np.ascontiguousarray(source.samples_NHWC.transpose(0, 3, 1, 2)))
    write_model_files(folder, source.model, samples)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        recipe={
            "name": "own",
            "summary": f"A model of its maker's own, {source.config.module}",
            "source": "",
            "model": source.config.model_dump(mode="json"),
            # Which one it was trained against is its maker's knowledge.
            "corruption": {"own": {}} if source.denoises else {},
            "objective": {},
            "training": {},
        },
        image=source.model.image,
        latent=source.model.latent,
        weights=record_file(folder, WEIGHTS_FILE),
        golden=record_file(folder, GOLDEN_FILE),
        metrics={},
        provenance=provenance(release=__version__, device="cpu", seed=None, data=None),
    )
    bundle = Bundle(folder, manifest)
    write_card(bundle)
    write_manifest(folder, manifest)
    return bundle


def _put(made: Path, out: Path, staging: Path, *, overwrite: bool) -> None:
    """Put a bundle in its place; what was there goes into the staging folder, and with that away.

    Raises:
        ConfigError: as :func:`check_out`, of what another export has put there meanwhile.
    """
    check_out(out, overwrite=overwrite)
    if out.is_dir() and any(out.iterdir()):
        with locked(out):
            out.rename(staging / "before")
    made.replace(out)
