"""One pass over the images, through the graphs that ship."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, log2, nan
from pathlib import Path

import numpy as np

from aedeploy.bundle import Bundle, Manifest
from aedeploy.bundle.manifest import Role
from aedeploy.errors import BackendError, ConfigError
from aedeploy.evaluation.baselines import BaselineSums, fit_linear
from aedeploy.evaluation.codebook import CodebookSums
from aedeploy.evaluation.gaussian import GaussianSums, posterior_sample
from aedeploy.evaluation.images import ArrayImages, EvaluationImages
from aedeploy.evaluation.noise import DEFAULT_SIGMAS, NoiseSums, normal_draws
from aedeploy.evaluation.reconstruction import PixelSums, cross_entropy
from aedeploy.evaluation.result import DataFigures, Evaluation, LatentFigures
from aedeploy.evaluation.sparsity import SparsitySums
from aedeploy.images.pixels import to_floats
from aedeploy.runtime.codec import Codec, auto_batch_size, load
from aedeploy.runtime.runner import Arrays

# What draws are for: each has a stream of its own.
_NOISE, _POSTERIOR = 0, 1


@dataclass(frozen=True, kw_only=True)
class Progress:
    """``done`` of ``total`` images are measured."""

    done: int
    total: int


def evaluate(
    bundle: Codec | Bundle | str | Path,
    images: EvaluationImages | np.ndarray,
    *,
    sigmas: Sequence[float] | None = None,
    pca: bool = True,
    seed: int = 0,
) -> Evaluation:
    """Measure what a bundle is worth on images.

    Args:
        bundle: an opened Codec, which says the backend; or a bundle, by the default backend.
        images: from :func:`aedeploy.evaluation.find.find_images`, or uint8 [N, H, W, C] of any size.
        sigmas: of the noise to remove, in units of [0, 1]; None: three of them where the bundle was trained for that.
        pca: whether to fit a PCA and the mean image to hold the figures against.
        seed: of the noise, and of the samples of the posterior.

    Raises:
        ConfigError: a σ is no such number.
        NothingToDoError: none of the images can be read.
        BackendError: a graph cannot run, or gives NaN or infinity.
    """
    *_, result = evaluation(bundle, images, sigmas=sigmas, pca=pca, seed=seed)
    assert isinstance(result, Evaluation)  # a generator that did not raise ends with it
    return result


def evaluation(
    bundle: Codec | Bundle | str | Path,
    images: EvaluationImages | np.ndarray,
    *,
    sigmas: Sequence[float] | None = None,
    pca: bool = True,
    seed: int = 0,
) -> Iterator[Progress | Evaluation]:
    """As :func:`evaluate`, telling how far it is; what comes last is the Evaluation."""
    began = time.monotonic()
    codec = bundle if isinstance(bundle, Codec) else load(bundle)
    if isinstance(images, np.ndarray):
        images = EvaluationImages(name="images", part=f"all {len(images)} images", test=ArrayImages(images))
    if sigmas is None:
        sigmas = DEFAULT_SIGMAS if codec.bundle.manifest.denoises else ()
    for sigma in sigmas:
        if not isfinite(sigma) or sigma <= 0.0:
            raise ConfigError(f"--sigma {sigma:g} is no standard deviation: give a number above 0, such as 0.1.")
    yield Progress(done=0, total=len(images.test))
    measuring = _Measuring(codec, images, sigmas, pca=pca, seed=seed)
    for pixels in images.test.batches(codec.geometry, auto_batch_size(codec.geometry)):
        measuring.add(pixels)
        yield Progress(done=measuring.images, total=len(images.test))
    yield measuring.result(time.monotonic() - began)


class _Measuring:
    """The running sums of every family that applies to a bundle."""

    def __init__(
        self, codec: Codec, images: EvaluationImages, sigmas: Sequence[float], *, pca: bool, seed: int
    ) -> None:
        manifest = codec.bundle.manifest
        self.images = 0
        self._codec, self._source, self._seed = codec, images, seed
        self._sigmas = [NoiseSums(sigma) for sigma in sigmas]
        self._probabilities = _gives_probabilities(manifest)
        self._likelihood = self._probabilities and _loss(manifest) == "bce"
        self._latent, self._gaussian, self._codebook, self._sparsity = None, None, None, None
        first = _first(codec, images)
        bits = None
        if manifest.latent is not None:
            code = self._run("encoder", to_floats(first))
            size = manifest.latent.codebook_size
            if "indices" in code and size is not None:
                bits = code["indices"].size * log2(size)
                self._codebook = CodebookSums(size)
            else:
                self._sparsity = SparsitySums()
            if "logvar" in code:
                self._gaussian = GaussianSums(likelihood=self._likelihood)
            self._latent = _latent_figures(code["latent"], first.size, bits)
        numbers = None if self._latent is None else self._latent.numbers
        self._linear = fit_linear(images, codec.geometry, numbers, bits) if pca else None
        self._pixels = PixelSums(probabilities=self._probabilities)
        self._baselines = BaselineSums(self._linear, probabilities=self._probabilities)

    def add(self, pixels: np.ndarray) -> None:
        """Measure a batch: uint8 [B, H, W, C]."""
        clean = to_floats(pixels)
        if self._latent is None:
            output = self._reconstruct(clean)
        else:
            code = self._run("encoder", clean)
            output = self._run("decoder", code["latent"])["image"]
            self._add_code(code, clean)
        self._pixels.add(clean, output)
        self._baselines.add(pixels)
        if self._sigmas:
            draws = normal_draws(clean.shape, self.images, self._seed, _NOISE)
            for noise in self._sigmas:
                noisy = clean + np.float32(noise.sigma) * draws
                noise.add(clean, noisy, self._reconstruct(noisy))
        self.images += len(pixels)

    def result(self, seconds: float) -> Evaluation:
        """What was added, as figures."""
        codec = self._codec
        geometry = codec.geometry
        return Evaluation(
            bundle=codec.bundle.name,
            backend=codec.backend,
            device=codec.device,
            seed=self._seed,
            data=DataFigures(
                name=self._source.name,
                part=self._source.part,
                images=self.images,
                image_shape=(geometry.channels, geometry.height, geometry.width),
            ),
            reconstruction=self._pixels.figures(),
            latent=self._latent,
            gaussian=self._gaussian.figures() if self._gaussian else None,
            codebook=self._codebook.figures() if self._codebook else None,
            sparsity=self._sparsity.figures() if self._sparsity else None,
            denoising=tuple(noise.figures() for noise in self._sigmas),
            baselines=self._baselines.figures(),
            failures=self._source.test.failures,
            notes=(*self._source.notes, *self._notes()),
            seconds=seconds,
        )

    def _add_code(self, code: Arrays, clean: np.ndarray) -> None:
        if self._codebook is not None:
            self._codebook.add(code["indices"])
        if self._sparsity is not None:
            self._sparsity.add(code["latent"])
        if self._gaussian is not None:
            self._gaussian.add(code["latent"], code["logvar"])
            if self._likelihood:
                self._gaussian.add_likelihood(self._sampled_nats(code, clean))

    def _sampled_nats(self, code: Arrays, clean: np.ndarray) -> float:
        """What a batch costs when it is decoded from one sample of each posterior, in nats."""
        draws = normal_draws(code["latent"].shape, self.images, self._seed, _POSTERIOR)
        latent = posterior_sample(code["latent"], code["logvar"], draws)
        if not np.isfinite(latent).all():  # of a variance beyond all bounds
            return nan
        output = self._run("decoder", latent)["image"]
        return float(cross_entropy(clean.astype(np.float64), output.astype(np.float64)).sum())

    def _reconstruct(self, image: np.ndarray) -> np.ndarray:
        return self._run("autoencoder", image)["reconstruction"]

    def _run(self, role: Role, values: np.ndarray) -> Arrays:
        outputs = self._codec.run(role, values)
        for name, array in outputs.items():
            if not np.isfinite(array).all():
                raise BackendError(
                    f"The {role} of bundle {self._codec.bundle.name!r} gave NaN or infinity in {name!r}: "
                    "there is nothing to measure."
                )
        return {name: to_floats(array) if array.dtype == np.uint8 else array for name, array in outputs.items()}

    def _notes(self) -> Iterator[str]:
        """What a reader must know of the figures, in sentences."""
        clamped = self._pixels.figures().bce_clamped
        if not self._probabilities:
            yield (
                "BCE is left out: the model's output is not a sigmoid, so that its pixels are no probabilities, and "
                "one clamped to exactly 0 or 1 would count 100 nats."
            )
        elif clamped:
            yield (
                f"{clamped:.2g} of all pixels are exactly 0 or 1 in the output and not in the image: its BCE takes "
                "-100 for the logarithm, where the model's own logits may say less."
            )
        if self._linear is not None and self._linear.components is not None and not self._linear.held_out:
            yield "PCA and the mean image are fitted to the images that are measured on, which favours them."


def _gives_probabilities(manifest: Manifest) -> bool:
    """Whether a pixel of the output is the probability of white: a sigmoid, which nothing is done to."""
    model = manifest.recipe.get("model", {})
    found: bool = model.get("output") == "sigmoid" and model.get("normalisation", "none") == "none"
    return found


def _loss(manifest: Manifest) -> str | None:
    found: str | None = manifest.recipe.get("objective", {}).get("reconstruction", {}).get("loss")
    return found


def _first(codec: Codec, images: EvaluationImages) -> np.ndarray:
    """One sound image, uint8 [1, H, W, C]."""
    first = next(images.test.batches(codec.geometry, 1), None)
    if first is None:
        raise images.unreadable()
    return first


def _latent_figures(latent: np.ndarray, values: int, bits: float | None) -> LatentFigures:
    """Of one image's latent, [1, *shape]; ``bits`` None: 32 a number."""
    bits = 32.0 * latent.size if bits is None else bits
    return LatentFigures(
        shape=latent.shape[1:],
        numbers=latent.size,
        numbers_ratio=values / latent.size,
        bits=bits,
        compression_ratio=8.0 * values / bits if bits else None,
    )
