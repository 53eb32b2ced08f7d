"""The figures of a model on held-out images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf, isfinite, log10, prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from aedeploy.models.autoencoder import Autoencoder
from aedeploy.training.corruption import Corruptions
from aedeploy.training.data.image_set import ImageSet, in_turn
from aedeploy.training.distributed import World
from aedeploy.training.methods import Batch, Method
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
def method_sums(
    model: Autoencoder,
    method: Method,
    phase: int,
    corruptions: Corruptions,
    images: ImageSet,
    device: torch.device,
    world: World,
) -> list[float]:
    """What a method sums up, over images, as :meth:`Method.figures` takes it.

    In eval mode, and corrupted and sampled as in training, but with the same noise whenever this is called, so that
    epochs can be compared.
    """
    with evaluating(model), evaluating(method.extra):
        totals = torch.zeros(len(method.names(phase)), dtype=precise(device), device=device)
        for clean in _batches(images, device, world):
            corrupted, sigma = corruptions(clean)
            batch = Batch(corrupted=corrupted, sigma=sigma, clean=clean, phase=phase, epoch=inf)
            totals += torch.cat([loss.sums for loss in method.losses(batch)])
    world.add_up(totals)
    found: list[float] = totals.tolist()
    return found


@torch.no_grad()
def metrics(
    model: Autoencoder, method: Method, corruptions: Corruptions, images: ImageSet, device: torch.device
) -> dict[str, float | int | None]:
    """What a model is worth on images, in eval mode, without any noise but where a name says so.

    ``loss``: the objective's, and by term where there are several. ``mse``, ``mae`` by pixel in [0, 1]; ``psnr`` in dB,
    of that mean squared error; ``bce`` in nats by pixel, where the output is a sigmoid. Of a gaussian bottleneck
    ``kl_nats`` by image, exact, and, where the reconstruction's loss is a likelihood, ``elbo_nats``. Of a model that
    was trained on corrupted images ``noisy_…``, how far those are from the clean ones, and ``denoised_…``.
    """
    totals: dict[str, Tensor] = {}

    def add(name: str, values: Tensor) -> None:
        totals[name] = totals.get(name, 0.0) + values.sum(dtype=precise(device))

    with evaluating(model):
        for clean in _batches(images, device):
            code, raw = model.reconstruct(*corruptions.none_at_all(clean))
            error = model.finish(raw) - clean
            add("mse", error.square())
            add("mae", error.abs())
            if model.output == "sigmoid":
                add("bce", functional.binary_cross_entropy_with_logits(raw, clean, reduction="none"))
            if "logvar" in code:
                add("kl_nats", kl_to_standard_normal(code["latent"], code["logvar"]))
            if corruptions:
                noisy, sigma = corruptions(clean)
                add("noisy_mse", (noisy - clean).square())
                add("denoised_mse", (model(noisy, sigma) - clean).square())
    by_image = {name: total.item() / len(images) for name, total in totals.items()}
    pixels = prod(images.image_shape)
    figures = {name: value if name == "kl_nats" else value / pixels for name, value in by_image.items()}
    psnr = {name.replace("mse", "psnr"): _psnr(value) for name, value in figures.items() if name.endswith("mse")}
    found = {**_of_objective(model, method, corruptions, images, device, by_image.get("kl_nats")), **figures, **psnr}
    # A variance that nothing holds down may have no KL that a float can hold, and JSON has no infinity.
    return {name: value if value is not None and isfinite(value) else None for name, value in found.items()}


def _of_objective(
    model: Autoencoder,
    method: Method,
    corruptions: Corruptions,
    images: ImageSet,
    device: torch.device,
    kl_nats: float | None,
) -> dict[str, float]:
    """The loss, its parts where there are several, and the ELBO where the reconstruction is a likelihood."""
    last, objective = len(method.phases) - 1, method.objective
    sums = method_sums(model, method, last, corruptions, images, device, World())
    loss, parts = method.figures(last, sums, len(images), prod(images.image_shape))
    found = {"loss": loss, **({f"loss_{name}": value for name, value in parts.items()} if len(parts) > 1 else {})}
    by_name = dict(zip(method.names(last), sums, strict=True))
    if objective.likelihood and kl_nats is not None:
        # Of the divergence as it is, whatever weight, free bits and unit the objective gives it.
        found["elbo_nats"] = -(by_name["reconstruction"] / len(images) + kl_nats)
    return found


def _psnr(mse: float) -> float | None:
    return -10.0 * log10(mse) if mse > 0.0 else None


def _batches(images: ImageSet, device: torch.device, world: World | None = None) -> Iterator[Tensor]:
    """All images, or this process's part of them, in batches whose noise is the same at every call; in [0, 1]."""
    world = world or World()
    size = max(1, min(_LARGEST_BATCH, _BATCH_PIXELS // prod(images.image_shape)))
    own = list(enumerate(in_turn(len(images), size)))[world.rank :: world.size]
    for (at, _), batch in zip(own, images.batches(positions for _, positions in own), strict=True):
        set_randomness(device, "held-out", at)
        yield to_unit(batch, device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode while the block runs."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
