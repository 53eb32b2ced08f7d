"""What a model's figures are held against: PCA of the same size, the mean image, the least BCE there can be."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from aedeploy.evaluation.images import EvaluationImages
from aedeploy.evaluation.pca import Components, Quantiser, fit_components, fit_quantiser, most_fitted
from aedeploy.evaluation.reconstruction import cross_entropy, psnr
from aedeploy.images.geometry import Geometry
from aedeploy.images.pixels import to_floats

#: What a coefficient takes where latents are counted in bits.
BITS = 8


@dataclass(frozen=True, kw_only=True)
class PCAFigures:
    """A PCA of so many ``components`` on the images that were measured on: ``mse`` of what it gives back, as it is
    and ``mse_clipped`` to [0, 1]; ``psnr`` in dB is that of ``mse``. ``bits`` by image, 8 a coefficient, which are then
    really rounded; None: floats. It was fitted to ``images`` images, of the data's training part or, where not
    ``held_out``, to those measured on, which favours it.
    """

    components: int
    bits: int | None
    mse: float
    mse_clipped: float
    psnr: float | None
    images: int
    held_out: bool


@dataclass(frozen=True, kw_only=True)
class BaselineFigures:
    """``bce_floor`` in nats by pixel, ``bce_floor_nats`` by image: the entropy of the grey pixels themselves, which no
    reconstruction goes below. ``mean_image_…``: what the mean of the fitted images gets, whatever it is shown.
    ``pca`` None: it was left out, and ``pca_absent`` says why.
    """

    bce_floor: float
    bce_floor_nats: float
    mean_image_mse: float | None
    mean_image_bce: float | None
    pca: PCAFigures | None
    pca_absent: str | None


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A PCA that was fitted: of floats or, with a quantiser, of bytes; ``components`` None: why there is none."""

    mean: np.ndarray
    components: Components | None
    quantiser: Quantiser | None
    held_out: bool
    absent: str | None


def fit_linear(images: EvaluationImages, geometry: Geometry, numbers: int | None, bits: float | None) -> Linear:
    """Fit a PCA of as many components as a latent has ``numbers``, or as fit into its ``bits`` at 8 bits each.

    ``numbers`` None: there is no latent to compare it with. To the training part of the data where there is one.
    """
    values = geometry.height * geometry.width * geometry.channels
    source = (images.train or images.test).sample(most_fitted(values))
    pixels_NP = np.concatenate([batch.reshape(len(batch), values) for batch in source.batches(geometry, 256)])
    held_out = images.train is not None
    wanted = int(bits // BITS) if bits is not None else numbers
    absent = None
    if wanted is None:
        absent = "the model has no latent of its own, so there is no size to compare at"
    elif wanted >= values:
        absent = f"the latent has no fewer numbers than the image has values ({values}), and PCA would lose nothing"
    elif not held_out and wanted >= len(pixels_NP) - 1:
        absent = f"{len(pixels_NP)} images, and none to fit it to but these, are too few for {wanted} components"
    if wanted is None or absent is not None:
        mean = fit_components(pixels_NP, 0).mean
        return Linear(mean=mean, components=None, quantiser=None, held_out=held_out, absent=absent)
    components = fit_components(pixels_NP, wanted)
    quantiser = None if bits is None else fit_quantiser(components, pixels_NP)
    return Linear(mean=components.mean, components=components, quantiser=quantiser, held_out=held_out, absent=None)


class BaselineSums:
    """Running sums of what :class:`BaselineFigures` holds, in float64; ``linear`` None: without a PCA."""

    def __init__(self, linear: Linear | None, *, probabilities: bool) -> None:
        self._linear, self._probabilities = linear, probabilities
        self._bytes = np.zeros(256, dtype=np.int64)
        self._images = 0
        self._mean_squared = self._mean_bce = self._squared = self._clipped = 0.0

    def add(self, pixels: np.ndarray) -> None:
        """Add a batch of images: uint8 [B, H, W, C]."""
        self._images += len(pixels)
        self._bytes += np.bincount(pixels.ravel(), minlength=256)
        if self._linear is None:
            return
        values_BP = pixels.reshape(len(pixels), prod(pixels.shape[1:])) / 255.0
        self._mean_squared += float(np.square(values_BP - self._linear.mean).sum())
        if self._probabilities:
            self._mean_bce += float(cross_entropy(values_BP, self._linear.mean).sum())
        if self._linear.components is not None:
            coefficients = self._linear.components.project(values_BP)
            if self._linear.quantiser is not None:
                coefficients = self._linear.quantiser.round(coefficients)
            restored = self._linear.components.restore(coefficients)
            self._squared += float(np.square(restored - values_BP).sum())
            self._clipped += float(np.square(np.clip(restored, 0.0, 1.0) - values_BP).sum())

    def figures(self) -> BaselineFigures:
        """The means of what was added."""
        total = int(self._bytes.sum())
        greys = to_floats(np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1)).astype(np.float64).ravel()
        floor = float((self._bytes * cross_entropy(greys, greys)).sum()) / total
        linear = self._linear
        return BaselineFigures(
            bce_floor=floor,
            bce_floor_nats=floor * total / self._images,
            mean_image_mse=None if linear is None else self._mean_squared / total,
            mean_image_bce=self._mean_bce / total if linear is not None and self._probabilities else None,
            pca=None if linear is None else self._pca(linear, total),
            pca_absent="it was not asked for" if linear is None else linear.absent,
        )

    def _pca(self, linear: Linear, total: int) -> PCAFigures | None:
        if linear.components is None:
            return None
        count = len(linear.components.basis)
        return PCAFigures(
            components=count,
            bits=None if linear.quantiser is None else BITS * count,
            mse=self._squared / total,
            mse_clipped=self._clipped / total,
            psnr=psnr(self._squared / total),
            images=linear.components.images,
            held_out=linear.held_out,
        )
