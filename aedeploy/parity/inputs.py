"""What the graphs are fed: real images, and the extremes on which wrong exports give themselves away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aedeploy.bundle import ImageContract, NoiseContract
from aedeploy.bundle.manifest import SIGMA
from aedeploy.images.noise import noisy, sigma_maps
from aedeploy.images.pixels import to_floats

#: One image, the least batch, an odd one, and one that batch jobs use.
BATCHES = (1, 2, 7, 64)
_CONSTANTS = ("black", "white", "constant", "checkerboard")
KINDS = ("real", *_CONSTANTS, "noise")
_SEED = 20_26

#: Latents that one might draw, by how many times wider they are spread than those of images; and those of which the
#: first to drive a decoder out of its range is taken, where a clamp that is missing shows.
PRIOR_SPREAD = 2.0
FAR_SPREADS = tuple(4.0**power for power in range(1, 9))


@dataclass(frozen=True, kw_only=True)
class ImageCase:
    """Images to feed: float32 [batch, C, H, W] in [0, 1]; and, where a graph is told, how much noise is in them."""

    kind: str
    images_BCHW: np.ndarray
    sigma_B1HW: np.ndarray | None = None

    @property
    def batch(self) -> int:
        return len(self.images_BCHW)

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """By the names of a graph's inputs."""
        told = {} if self.sigma_B1HW is None else {SIGMA: self.sigma_B1HW}
        return {"image": self.images_BCHW, **told}

    @property
    def repeats(self) -> int:
        """How often each image stands in the batch: those of one kind of constant are all the same."""
        return self.batch if self.kind in _CONSTANTS else 1

    @property
    def size(self) -> str:
        height, width = self.images_BCHW.shape[2:]
        return f"{height}x{width}"


def image_cases(
    contract: ImageContract, samples_NHWC: np.ndarray, noise: NoiseContract | None = None
) -> Iterator[ImageCase]:
    """Every kind at every batch size at the training size; where the size is dynamic, at two others as well.

    ``samples_NHWC`` are real images, uint8 [N, H, W, C], of the training size; where a graph is told the ``noise``,
    they get some.
    """
    for kind in KINDS:
        for batch in BATCHES:
            yield _case(kind, batch, samples_NHWC, noise)
    if contract.dynamic_size:
        step = contract.multiple_of
        for more_height, more_width in ((step, 3 * step), (2 * step, 0)):
            other = np.pad(samples_NHWC[:2], ((0, 0), (0, more_height), (0, more_width), (0, 0)), mode="wrap")
            for kind in ("real", "noise"):
                yield _case(kind, 2, other, noise)


def _case(kind: str, batch: int, samples_NHWC: np.ndarray, noise: NoiseContract | None) -> ImageCase:
    if noise is None:
        return ImageCase(kind=kind, images_BCHW=_images(kind, batch, to_floats(samples_NHWC)))
    _, height, width, _ = samples_NHWC.shape
    if kind in _CONSTANTS:
        # Images that are all the same are to come out so.
        sigma = np.repeat(sigma_maps(2, height, width, noise.maximum)[1:], batch, axis=0)
    else:
        sigma = sigma_maps(batch, height, width, noise.maximum)
    if kind == "real":
        samples_NHWC = noisy(np.take(samples_NHWC, range(batch), axis=0, mode="wrap"), sigma)
    return ImageCase(kind=kind, images_BCHW=_images(kind, batch, to_floats(samples_NHWC)), sigma_B1HW=sigma)


def latents_like(latents: np.ndarray, batch: int, spread: float) -> np.ndarray:
    """Latents from beyond the data: normal noise of so many times the spread of ``latents``, float32 [batch, …]."""
    noise = np.random.default_rng(_SEED).standard_normal((batch, *latents.shape[1:]))
    beyond: np.ndarray = latents.mean() + spread * latents.std() * noise
    return beyond.astype(np.float32)


def _images(kind: str, batch: int, samples: np.ndarray) -> np.ndarray:
    shape = (batch, *samples.shape[1:])
    if kind == "real":
        return np.take(samples, range(batch), axis=0, mode="wrap")
    if kind == "noise":
        return _of_bytes(np.random.default_rng(_SEED).integers(0, 256, shape))
    if kind == "checkerboard":
        rows, columns = np.indices(shape[2:])
        return np.broadcast_to(((rows + columns) % 2).astype(np.float32), shape).copy()
    return _of_bytes(np.full(shape, {"black": 0, "white": 255, "constant": 128}[kind]))


def _of_bytes(values: np.ndarray) -> np.ndarray:
    """Every image is one that bytes can say, so that graphs of either kind of pixels are fed the same."""
    return values.astype(np.float32) / np.float32(255)
