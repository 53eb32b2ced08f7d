"""The figures of a model on held-out images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite, log10, prod

import torch
from torch import Tensor
from torch.nn import functional

from aedeploy.models.autoencoder import Autoencoder
from aedeploy.training.corruption import Corruptions
from aedeploy.training.data.image_set import ImageSet, in_turn
from aedeploy.training.objective import Objective
from aedeploy.training.objectives.kl import kl_to_standard_normal
from aedeploy.training.randomness import set_randomness

# Pixels of a batch: what fits into the caches of a small machine, and into the memory of any.
_BATCH_PIXELS = 1 << 20
_LARGEST_BATCH = 1000


def precise(device: torch.device) -> torch.dtype:
    """What sums over many batches are kept in."""
    # Metal has no float64.
    return torch.float32 if device.type == "mps" else torch.float64


def to_unit(pixels: Tensor, device: torch.device) -> Tensor:
    """uint8 to float32 in [0, 1], on ``device``: a byte b is b / 255."""
    return pixels.to(device, non_blocking=True).float().div_(255.0)


@torch.no_grad()
def objective_sums(
    model: Autoencoder, objective: Objective, corruptions: Corruptions, images: ImageSet, device: torch.device
) -> list[float]:
    """Each term of the objective, summed over images, as :meth:`Objective.figures` takes it.

    In eval mode, and corrupted and sampled as in training, but with the same noise whenever this is called, so that
    epochs can be compared.
    """
    with _evaluating(model):
        totals = torch.zeros(len(objective.terms), dtype=precise(device), device=device)
        for clean in _batches(images, device):
            _, sums = objective(model.training_pass(corruptions(clean), clean))
            totals += sums
    found: list[float] = totals.tolist()
    return found


@torch.no_grad()
def metrics(
    model: Autoencoder, objective: Objective, corruptions: Corruptions, images: ImageSet, device: torch.device
) -> dict[str, float | int | None]:
    """What a model is worth on images, in eval mode, without any noise but where a name says so.

    ``loss``: the objective's, and by term where there are several. ``mse``, ``mae`` by pixel in [0, 1]; ``psnr`` in dB,
    of that mean squared error; ``bce`` in nats by pixel, where the output is a sigmoid. Of a gaussian bottleneck
    ``kl_nats`` by image, and, where the reconstruction's loss is a likelihood, ``elbo_nats``. Of a model that was
    trained on corrupted images ``noisy_…``, how far those are from the clean ones, and ``denoised_…``.
    """
    totals: dict[str, Tensor] = {}

    def add(name: str, values: Tensor) -> None:
        totals[name] = totals.get(name, 0.0) + values.sum(dtype=precise(device))

    with _evaluating(model):
        for clean in _batches(images, device):
            code = model.encode(clean)
            raw = model.decoder(code["latent"])
            error = model.finish(raw) - clean
            add("mse", error.square())
            add("mae", error.abs())
            if model.output == "sigmoid":
                add("bce", functional.binary_cross_entropy_with_logits(raw, clean, reduction="none"))
            if "logvar" in code:
                add("kl_nats", kl_to_standard_normal(code["latent"], code["logvar"]))
            if corruptions:
                noisy = corruptions(clean)
                add("noisy_mse", (noisy - clean).square())
                add("denoised_mse", (model(noisy) - clean).square())
    by_image = {name: total.item() / len(images) for name, total in totals.items()}
    pixels = prod(images.image_shape)
    figures = {name: value if name == "kl_nats" else value / pixels for name, value in by_image.items()}
    psnr = {name.replace("mse", "psnr"): _psnr(value) for name, value in figures.items() if name.endswith("mse")}
    found = {**_of_objective(model, objective, corruptions, images, device), **figures, **psnr}
    # A variance that nothing holds down may have no KL that a float can hold, and JSON has no infinity.
    return {name: value if value is not None and isfinite(value) else None for name, value in found.items()}


def _of_objective(
    model: Autoencoder, objective: Objective, corruptions: Corruptions, images: ImageSet, device: torch.device
) -> dict[str, float]:
    sums = objective_sums(model, objective, corruptions, images, device)
    loss, parts = objective.figures(sums, len(images), prod(images.image_shape))
    found = {"loss": loss, **({f"loss_{name}": value for name, value in parts.items()} if len(parts) > 1 else {})}
    if objective.likelihood and "kl" in parts:
        # Of the terms as they are, whatever weights and unit the objective gives them.
        by_name = dict(zip(objective.names, sums, strict=True))
        found["elbo_nats"] = -(by_name["reconstruction"] + by_name["kl"]) / len(images)
    return found


def _psnr(mse: float) -> float | None:
    return -10.0 * log10(mse) if mse > 0.0 else None


def _batches(images: ImageSet, device: torch.device) -> Iterator[Tensor]:
    """All images, in batches whose noise is the same at every call; float32 in [0, 1]."""
    size = max(1, min(_LARGEST_BATCH, _BATCH_PIXELS // prod(images.image_shape)))
    for at, batch in enumerate(images.batches(in_turn(len(images), size))):
        set_randomness(device, "held-out", at)
        yield to_unit(batch, device)


@contextmanager
def _evaluating(model: Autoencoder) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
