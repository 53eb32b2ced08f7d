"""What removes noise, as the protocol sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from aedeploy.errors import BackendError
from aedeploy.evaluation.denoising.protocol import rounded
from aedeploy.runtime.codec import Codec
from aedeploy.runtime.full_size import FullSize

#: What a model that takes σ is told of it: what was added, as the classical methods are, or what it estimates itself.
Told = Literal["sigma", "auto"]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What was measured, in words: the ``package`` that ran, its ``version``, and the ``settings`` of the call."""

    package: str
    version: str
    settings: str


class Method(Protocol):
    """Something that removes noise. A protocol: bundles and other people's functions are measured alike."""

    name: str
    setup: Setup

    def taken(self, noisy_HWC: np.ndarray) -> np.ndarray:
        """A noisy image, float32 [H, W, C] where white is 1, not clipped, as the method takes it. Not timed."""
        ...

    def denoised(self, image_HWC: np.ndarray, sigma: float) -> np.ndarray:
        """What is left of an image that was ``taken`` without its noise of ``sigma`` levels: uint8 or floats [H, W, C].

        This is what is timed.
        """
        ...


class BundleMethod:
    """A bundle's autoencoder on images of any size.

    Attributes:
        tells: whether the model is told σ.

    Raises:
        ConfigError: it was not trained to remove noise, or takes images of one size only.
    """

    def __init__(self, codec: Codec, told: Told, *, name: str | None = None, tile: int | None = None) -> None:
        codec.require_denoising()
        self._full = FullSize(codec, tile=tile)
        self.tells = told == "sigma" and codec.bundle.manifest.noise is not None
        self._bytes = codec.open("autoencoder").inputs[0].dtype == "uint8"
        self.name = codec.bundle.name if name is None else name
        self.setup = Setup(package=codec.backend, version=_version(codec.backend), settings=self._settings(codec, told))

    def taken(self, noisy_HWC: np.ndarray) -> np.ndarray:
        """As it is; of a graph of uint8 pixels, clipped and rounded."""
        return rounded(noisy_HWC) if self._bytes else noisy_HWC

    def denoised(self, image_HWC: np.ndarray, sigma: float) -> np.ndarray:
        """By the graph; σ is told or estimated, and the latter is timed with it.

        Raises:
            BackendError: the graph gave NaN or infinity.
        """
        made = self._full.reconstruct(image_HWC, sigma=sigma if self.tells else None)
        if not np.isfinite(made).all():
            raise BackendError(f"The autoencoder of {self.name!r} gave NaN or infinity: there is nothing to measure.")
        return made

    def _settings(self, codec: Codec, told: Told) -> str:
        format_ = codec.graph_format or "the weights"
        pixels = f"{format_}, {'clipped and rounded to bytes' if self._bytes else 'floats'}"
        if codec.bundle.manifest.noise is None:
            return f"{pixels}, told nothing of σ"
        return f"{pixels}, {'told σ' if told == 'sigma' else 'σ estimated'}"


def _version(backend: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(backend)
    except PackageNotFoundError:  # such as onnxruntime-gpu, whose module has another name
        return "unknown"
