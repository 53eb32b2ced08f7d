"""The classical methods, from their own packages: what a denoiser is held against.

Each has the settings that are good for it at the σ that it is told. Neither package is ever needed to run a bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from aedeploy.errors import ConfigError, MissingDependencyError, UnknownNameError
from aedeploy.evaluation.denoising.methods import Method, Setup
from aedeploy.evaluation.denoising.protocol import rounded

#: What installs both.
EXTRA = "denoise-baselines"

# BM3D matches blocks of 8×8 pixels, and refuses smaller images.
_BLOCK = 8


class BM3D:
    """Block matching and 3-D filtering (Dabov, Foi, Katkovnik & Egiazarian 2007; Mäkinen, Azzari & Foi 2020).

    From its authors' package ``bm3d``, which is for non-commercial use only; its usual profile; colour in the space
    "opp", as it does by default.
    """

    name = "bm3d"
    package, distribution = "bm3d", "bm3d"

    def __init__(self, threads: int) -> None:
        self._bm3d: Any = import_module(self.package)
        self._profile = self._bm3d.BM3DProfile()
        self._profile.num_threads = threads
        self.setup = Setup(
            package=self.distribution,
            version=version(self.distribution),
            settings="profile np, told σ; for non-commercial use only",
        )

    def taken(self, noisy_HWC: np.ndarray) -> np.ndarray:
        """As it is.

        Raises:
            ConfigError: the image is smaller than a block.
        """
        if min(noisy_HWC.shape[:2]) < _BLOCK:
            raise ConfigError(
                f"BM3D takes images of {_BLOCK}×{_BLOCK} pixels and more, and one is {noisy_HWC.shape[1]}×"
                f"{noisy_HWC.shape[0]}: leave it out, or measure without:  --baselines nlm"
            )
        return noisy_HWC

    def denoised(self, image_HWC: np.ndarray, sigma: float) -> np.ndarray:
        """All of its stages; floats."""
        remove = self._bm3d.bm3d_rgb if image_HWC.shape[2] == 3 else self._bm3d.bm3d
        made: np.ndarray = remove(image_HWC, sigma_psd=sigma / 255.0, profile=self._profile)
        return made.reshape(image_HWC.shape)


class NonLocalMeans:
    """Non-local means (Buades, Coll & Morel 2005) as OpenCV has it, ``fastNlMeansDenoising`` and ``…Colored``.

    It takes bytes, so that the noisy image is clipped and rounded for it: what a photograph on disk went through too.
    """

    name = "nlm"
    package, distribution = "cv2", "opencv-python-headless"

    def __init__(self, threads: int) -> None:
        self._cv2: Any = import_module(self.package)
        self._cv2.setNumThreads(threads)
        self.setup = Setup(
            package="opencv",
            version=str(self._cv2.__version__),
            settings="clipped and rounded to bytes, h and patch by σ (docs/denoising.md)",
        )

    def taken(self, noisy_HWC: np.ndarray) -> np.ndarray:
        """Clipped and rounded to bytes."""
        return rounded(noisy_HWC)

    def denoised(self, image_HWC: np.ndarray, sigma: float) -> np.ndarray:
        """With OpenCV's own window of 21×21 pixels; bytes."""
        if image_HWC.shape[2] == 3:
            patch, h, h_colour = colour_settings(sigma)
            made: np.ndarray = self._cv2.fastNlMeansDenoisingColored(image_HWC, None, h, h_colour, patch, 21)
            return made
        patch, h = grey_settings(sigma)
        made = self._cv2.fastNlMeansDenoising(image_HWC, None, h, patch, 21)
        return made[:, :, None]


def grey_settings(sigma: float) -> tuple[int, float]:
    """(side of a patch, h) of non-local means at ``sigma``.

    Chosen on every sixteenth image of train400, among sides of 3, 5 and 7 and h from 0.5 to 1.3 σ: within 0.05 dB of
    the best of them at σ = 15, 25, 35 and 50.
    """
    return (3, 1.1 * sigma) if sigma <= 20.0 else (5, 0.75 * sigma + 4.0)


def colour_settings(sigma: float) -> tuple[int, float, float]:
    """(side of a patch, h, h of the colours) of non-local means at ``sigma``.

    Chosen on the middle of every seventh training photograph, shrunk by three, among the same sides, h from 0.5 to σ
    and that of the colours from 0.3 to 2 σ: within 0.06 dB of the best of them at σ = 15, 25 and 50.
    """
    return 3, 0.7 * sigma, 0.8 * sigma


_KNOWN: dict[str, type[BM3D] | type[NonLocalMeans]] = {kind.name: kind for kind in (BM3D, NonLocalMeans)}
_IN_WORDS = {BM3D.name: "BM3D", NonLocalMeans.name: "Non-local means"}


def classical_names() -> tuple[str, ...]:
    """Those that there are, installed or not."""
    return tuple(_KNOWN)


def find_classical(names: Sequence[str] | None, threads: int) -> tuple[list[Method], tuple[str, ...]]:
    """The classical methods of these names, and what a person must know of them, in sentences.

    ``names`` None: those whose packages are installed; the rest is said. ``threads``: of each.

    Raises:
        UnknownNameError: there is no such method.
        MissingDependencyError: a package is not installed, and was asked for by name.
    """
    found: list[Method] = []
    notes = []
    for name in dict.fromkeys(classical_names() if names is None else names):
        if name not in _KNOWN:
            raise UnknownNameError("classical method", name, _KNOWN)
        kind = _KNOWN[name]
        if find_spec(kind.package) is not None:
            found.append(kind(threads))
            continue
        missing = MissingDependencyError(kind.distribution, EXTRA, _IN_WORDS[name])
        if names is not None:
            raise missing
        notes.append(f"{missing} It is left out.")
    if any(method.name == BM3D.name for method in found):
        notes.append("The package bm3d is for non-commercial use only, by its licence.")
    return found, tuple(notes)
