"""A model's own files in a bundle: its weights, golden vectors of what it computes, and how both came to be."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from aedeploy.bundle import DataRecord, ImageContract, Provenance
from aedeploy.bundle.golden import BATCHES, GoldenCase, save_golden
from aedeploy.bundle.manifest import SIGMA
from aedeploy.bundle.store import GOLDEN_FILE, WEIGHTS_FILE
from aedeploy.files import replacing, write_bytes
from aedeploy.images.noise import noisy, sigma_maps
from aedeploy.images.pixels import to_floats
from aedeploy.models.contract import Deployable


def write_model_files(
    folder: Path, model: Deployable, samples_BCHW: Tensor, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write weights and golden vectors of a model that is on the CPU and in eval mode.

    ``weights``: the same values in the dtypes that they are to be kept in; by default the model's own.

    ``samples_BCHW`` are real images of its size, uint8; golden vectors are made of them by PyTorch eager in float32.
    """
    module = model.module
    # Copies: of tensors that are one in the model, such as tied weights, each gets bytes of its own.
    kept = {name: value.detach().clone().contiguous() for name, value in (weights or module.state_dict()).items()}
    # Not by save_file, whose files only their owner can read.
    write_bytes(folder / WEIGHTS_FILE, save(kept))
    with replacing(folder / GOLDEN_FILE) as partial:
        save_golden(partial, golden_cases(model, samples_BCHW), samples_BCHW.permute(0, 2, 3, 1).numpy())


@torch.inference_mode()
def golden_cases(model: Deployable, samples_BCHW: Tensor) -> list[GoldenCase]:
    """One case a graph and batch size, of the first of ``samples``; from the start again where they are too few."""
    cases = []
    for batch in BATCHES:
        inputs = _inputs(model, samples_BCHW[torch.arange(batch) % len(samples_BCHW)])
        if model.latent is None:
            cases.append(_case("autoencoder", batch, inputs, {"reconstruction": model.module(*inputs.values())}))
            continue
        code = model.module.encode(*inputs.values())  # type: ignore[operator]
        reconstruction = model.module.decode(code["latent"])  # type: ignore[operator]
        cases += [
            _case("encoder", batch, inputs, code),
            _case("decoder", batch, {"latent": code["latent"]}, {"image": reconstruction}),
            _case("autoencoder", batch, inputs, {"reconstruction": reconstruction}),
        ]
    return cases


def _inputs(model: Deployable, images_BCHW: Tensor) -> dict[str, Tensor]:
    """What a model takes, by name, for images of uint8; one that is told the noise gets images that have it."""
    if model.noise is None:
        return {"image": images_BCHW.float().div_(255.0)}
    batch = len(images_BCHW)
    height, width = _golden_size(model.image)
    sigma = sigma_maps(batch, height, width, model.noise.maximum)
    image = noisy(images_BCHW[:, :, :height, :width].permute(0, 2, 3, 1).numpy(), sigma)
    return {"image": torch.from_numpy(to_floats(image)), SIGMA: torch.from_numpy(sigma)}


def _golden_size(image: ImageContract) -> tuple[int, int]:
    """Height and width: where any will do, a few steps of the size rule, and not the same of both."""
    if not image.dynamic_size:
        return image.height, image.width
    step, least = image.multiple_of, -(-image.minimum // image.multiple_of) * image.multiple_of
    return min(image.height, least + 4 * step), min(image.width, least + 3 * step)


def provenance(*, release: str, device: str, seed: int | None, data: DataRecord | None) -> Provenance:
    """What a manifest says of where, when and with what a model was written; ``release`` is that of aedeploy."""
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        packages={"aedeploy": release, **{name: version(name) for name in ("torch", "numpy", "pillow")}},
        platform=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {device}",
        seed=seed,
        data=data,
    )


def _case(role: str, batch: int, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> GoldenCase:
    arrays = [{name: tensor.numpy() for name, tensor in tensors.items()} for tensors in (inputs, outputs)]
    return GoldenCase(role=role, batch=batch, inputs=arrays[0], outputs=arrays[1])
