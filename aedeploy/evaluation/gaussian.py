"""What the encoder of a gaussian model says, and the bound on the likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: A unit is active where its posterior mean varies by more (Burda, Grosse & Salakhutdinov 2016), …
ACTIVE_VARIANCE = 0.01
#: … or where it costs more than this many nats.
ACTIVE_KL = 0.01


@dataclass(frozen=True, kw_only=True)
class GaussianFigures:
    """``kl_nats``: KL(q(z|x) ‖ N(0, I)) by image, ``kl_by_unit`` what of it each latent dimension has (of a spatial
    latent, each channel over all its places). ``active_units``: those whose posterior mean varies by more than 0.01
    over the images, ``active_units_kl``: those with more than 0.01 nats. Of a model with a likelihood ``elbo_nats`` by
    image, −(reconstruction_nats + kl_nats), by one sample of the posterior.
    """

    kl_nats: float | None
    kl_by_unit: tuple[float | None, ...]
    units: int
    active_units: int
    active_units_kl: int
    elbo_nats: float | None = None
    reconstruction_nats: float | None = None


class GaussianSums:
    """Running sums of what :class:`GaussianFigures` holds, in float64."""

    def __init__(self, *, likelihood: bool) -> None:
        self._likelihood = likelihood
        self._images = 0
        self._kl: np.ndarray | float = 0.0
        self._mean: np.ndarray | float = 0.0
        self._square: np.ndarray | float = 0.0
        self._nats = 0.0

    def add(self, mean: np.ndarray, logvar: np.ndarray) -> None:
        """Add a batch of posteriors: float32 [B, *latent shape] each."""
        mean = mean.astype(np.float64)
        self._images += len(mean)
        # A variance that nothing holds down may have no KL that a float can hold.
        with np.errstate(over="ignore"):
            self._kl = self._kl + kl_to_standard_normal(mean, logvar.astype(np.float64)).sum(axis=0)
        self._mean = self._mean + mean.sum(axis=0)
        self._square = self._square + np.square(mean).sum(axis=0)

    def add_likelihood(self, nats: float) -> None:
        """Add what the reconstruction of a batch from samples costs, in nats."""
        self._nats += nats

    def figures(self) -> GaussianFigures:
        """The means of what was added."""
        kl = np.asarray(self._kl) / self._images
        kl_U = kl.reshape(len(kl), -1).sum(axis=1)
        variance = np.asarray(self._square) / self._images - np.square(np.asarray(self._mean) / self._images)
        variance_U = variance.reshape(len(kl), -1).mean(axis=1)
        total = _finite(float(kl_U.sum()))
        nats = _finite(self._nats / self._images) if self._likelihood else None
        return GaussianFigures(
            kl_nats=total,
            kl_by_unit=tuple(_finite(float(value)) for value in kl_U),
            units=len(kl_U),
            active_units=int((variance_U > ACTIVE_VARIANCE).sum()),
            active_units_kl=int((kl_U > ACTIVE_KL).sum()),
            elbo_nats=-(nats + total) if nats is not None and total is not None else None,
            reconstruction_nats=nats,
        )


def kl_to_standard_normal(mean: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """KL(N(mean, exp(logvar)) ‖ N(0, 1)) of each latent, in nats (Kingma & Welling 2013, appendix B)."""
    nats: np.ndarray = 0.5 * (np.square(mean) + np.exp(logvar) - 1.0 - logvar)
    return nats


def posterior_sample(mean: np.ndarray, logvar: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """μ + σ·ε for ε of N(0, I): float32, of the shape of ``mean``."""
    with np.errstate(over="ignore"):
        sample: np.ndarray = mean + np.exp(0.5 * logvar) * normal
    return sample.astype(np.float32)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
