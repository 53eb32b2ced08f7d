"""How sparse latents are: told by their values, whatever the bottleneck is called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class SparsityFigures:
    """``zeros``: the share of latent numbers that are exactly 0, ``l0``: how many of an image's are not.
    ``mean_activation``: the mean of all numbers, zeros included. ``dead_units``: of ``units`` latent dimensions (of a
    spatial latent, channels), those that are 0 for every image.
    """

    zeros: float
    l0: float
    mean_activation: float
    units: int
    dead_units: int


class SparsitySums:
    """Running sums of what :class:`SparsityFigures` holds."""

    def __init__(self) -> None:
        self._images = self._numbers = self._zeros = 0
        self._sum, self._least = 0.0, np.inf
        self._alive: np.ndarray | bool = False

    def add(self, latent: np.ndarray) -> None:
        """Add a batch of latents: float32 [B, *latent shape]."""
        self._images += len(latent)
        self._numbers += latent.size
        self._zeros += int((latent == 0.0).sum())
        self._sum += float(latent.sum(dtype=np.float64))
        self._least = min(self._least, float(latent.min()))
        self._alive = self._alive | (latent != 0.0).any(axis=(0, *range(2, latent.ndim)))

    def figures(self) -> SparsityFigures | None:
        """None where latents are of both signs and never exactly 0: nothing asks them to be sparse."""
        if self._zeros == 0 and self._least < 0.0:
            return None
        alive_U = np.asarray(self._alive)
        return SparsityFigures(
            zeros=self._zeros / self._numbers,
            l0=(self._numbers - self._zeros) / self._images,
            mean_activation=self._sum / self._numbers,
            units=len(alive_U),
            dead_units=int((~alive_U).sum()),
        )
