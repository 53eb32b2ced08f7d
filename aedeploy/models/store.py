"""A model's own files in a bundle: its weights, golden vectors of what it computes, and how both came to be."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from aedeploy.bundle import DataRecord, Provenance
from aedeploy.bundle.golden import BATCHES, GoldenCase, save_golden
from aedeploy.bundle.manifest import ROLES, Role
from aedeploy.bundle.store import GOLDEN_FILE, WEIGHTS_FILE
from aedeploy.files import replacing, write_bytes


def write_model_files(folder: Path, module: nn.Module, samples_BCHW: Tensor, roles: Sequence[Role] = ROLES) -> None:
    """Write weights and golden vectors of a model that is on the CPU and in eval mode.

    ``samples_BCHW`` are real images of its size, uint8; golden vectors are made of them by PyTorch eager in float32.
    """
    # Copies: of tensors that are one in the model, such as tied weights, each gets bytes of its own.
    weights = {name: value.detach().clone().contiguous() for name, value in module.state_dict().items()}
    # Not by save_file, whose files only their owner can read.
    write_bytes(folder / WEIGHTS_FILE, save(weights))
    with replacing(folder / GOLDEN_FILE) as partial:
        save_golden(partial, golden_cases(module, samples_BCHW, roles), samples_BCHW.permute(0, 2, 3, 1).numpy())


@torch.inference_mode()
def golden_cases(module: nn.Module, samples_BCHW: Tensor, roles: Sequence[Role] = ROLES) -> list[GoldenCase]:
    """One case a graph and batch size, of the first of ``samples``; from the start again where they are too few."""
    cases = []
    for batch in BATCHES:
        image = samples_BCHW[torch.arange(batch) % len(samples_BCHW)].float().div_(255.0)
        if "encoder" not in roles:
            cases.append(_case("autoencoder", batch, {"image": image}, {"reconstruction": module(image)}))
            continue
        code = module.encode(image)  # type: ignore[operator]
        reconstruction = module.decode(code["latent"])  # type: ignore[operator]
        cases += [
            _case("encoder", batch, {"image": image}, code),
            _case("decoder", batch, {"latent": code["latent"]}, {"image": reconstruction}),
            _case("autoencoder", batch, {"image": image}, {"reconstruction": reconstruction}),
        ]
    return cases


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
