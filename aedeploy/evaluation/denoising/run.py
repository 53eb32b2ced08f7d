"""A denoiser over a folder of clean images, beside others, by the protocol."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, get_args

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.data.split import held_out_indices
from aedeploy.errors import ConfigError, ImageError, NothingToDoError, UnknownNameError
from aedeploy.evaluation.denoising.classical import find_classical
from aedeploy.evaluation.denoising.estimate import AutoSums
from aedeploy.evaluation.denoising.methods import BundleMethod, Method, Told
from aedeploy.evaluation.denoising.protocol import DEFAULT_SIGMAS, noisy_image, psnr, rounded, similarity
from aedeploy.evaluation.denoising.result import NOISY, DenoisingEvaluation, Row
from aedeploy.evaluation.images import Failure
from aedeploy.images.colour import Mode
from aedeploy.images.folder import list_images
from aedeploy.images.read import quiet_pillow, read_image
from aedeploy.runtime.codec import Codec, load
from aedeploy.runtime.cores import available_cores
from aedeploy.runtime.full_size import FullSize

# The side of the crop that a method sees before it is timed: what opens graphs, plans transforms and fills caches.
_WARM_UP = 64

_WHITE = 255.0


@dataclass(frozen=True, kw_only=True)
class DenoisingOptions:
    """How it is measured.

    ``sigmas`` in levels of 255. ``told``: whether a model that takes σ is told the true one, or estimates it.
    ``classical``: the names of classical methods; None: those whose packages are installed. ``seed`` of the noise.
    ``limit``: at most so many images, evenly spaced.
    """

    sigmas: Sequence[float] = DEFAULT_SIGMAS
    told: Told = "sigma"
    classical: Sequence[str] | None = None
    seed: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Calls:
    """``done`` of at most ``total`` calls of all methods are measured."""

    done: int
    total: int


def evaluate_denoising(bundle: Codec | Bundle | str | Path, folder: str | Path, **options: Any) -> DenoisingEvaluation:
    """Measure how well a bundle takes noise out of the clean images of a folder, each at its own size.

    Args:
        bundle: an opened Codec, which says the backend; or a bundle, by the default backend.
        folder: of images, which are read in the bundle's colour mode; or one image.
        options: of :class:`DenoisingOptions`.

    Raises:
        ConfigError: the bundle does not denoise or takes images of one size only, or an option is no such thing.
        NothingToDoError: there is no image, or none that can be read.
        MissingDependencyError: a classical method was asked for by name, and its package is not installed.
        BackendError: the graph cannot run, or gives NaN or infinity.
    """
    codec = bundle if isinstance(bundle, Codec) else load(bundle)
    *_, result = denoising_evaluation(codec, folder, DenoisingOptions(**options))
    assert isinstance(result, DenoisingEvaluation)  # a generator that did not raise ends with it
    return result


def denoising_evaluation(
    codec: Codec, folder: str | Path, options: DenoisingOptions
) -> Iterator[Calls | DenoisingEvaluation]:
    """As :func:`evaluate_denoising`, telling how far it is; what comes last is the DenoisingEvaluation."""
    began = time.monotonic()
    ours = _checked(codec, options)
    classical, notes = find_classical(options.classical, available_cores())
    methods: list[Method] = [ours, *classical]
    images = CleanImages(Path(folder), codec.geometry.mode, options.limit)
    noise = codec.bundle.manifest.noise
    auto = AutoSums(FullSize(codec), noise.maximum, options.seed) if noise is not None else None
    total = len(images.names) * len(options.sigmas) * len(methods)
    rows: list[Row] = []
    megapixels = 0.0
    yield Calls(done=0, total=total)
    for name, clean in images.read():
        if not rows:
            warm_up(methods, clean, options.sigmas[0])
        megapixels += clean.shape[0] * clean.shape[1] / 1e6
        for sigma in options.sigmas:
            noisy = noisy_image(clean, sigma, options.seed)
            rows.append(noisy_row(name, clean, noisy, sigma))
            for method in methods:
                rows.append(measured(method, name, clean, noisy, sigma))
                yield Calls(done=sum(row.method != NOISY for row in rows), total=total)
        if auto is not None:
            auto.add(clean)
    if not rows:
        reasons = "; ".join(f"{failure.path} ({failure.reason})" for failure in images.failures[:3])
        raise NothingToDoError(f"None of the images of {folder} can be read: {reasons}.")
    yield DenoisingEvaluation(
        bundle=codec.bundle.name,
        backend=codec.backend,
        format=codec.graph_format,
        device=codec.device,
        threads=available_cores(),
        seed=options.seed,
        told=options.told if noise is not None else None,
        data=Path(folder).resolve().name or "images",
        mode=codec.geometry.mode,
        images=len(images.names) - len(images.failures),
        megapixels=megapixels,
        methods={method.name: method.setup for method in methods},
        rows=tuple(rows),
        auto=auto.figures() if auto is not None else None,
        failures=tuple(images.failures),
        notes=notes,
        seconds=time.monotonic() - began,
    )


class CleanImages:
    """The images of a folder, each at its own size, one in memory at a time.

    Attributes:
        names: relative to the folder.
        failures: those that could not be read so far.

    Raises:
        ConfigError: there is no such folder or file.
        NothingToDoError: there is no image in it.
    """

    def __init__(self, folder: Path, mode: Mode, limit: int | None = None) -> None:
        listing = list_images(folder)
        names = listing.images
        if limit is not None and limit < len(names):
            names = tuple(names[at] for at in held_out_indices(len(names), limit))
        self.names, self.failures = names, list[Failure]()
        self._root, self._mode = listing.root, mode

    def read(self) -> Iterator[tuple[str, np.ndarray]]:
        """The name and the pixels, uint8 [H, W, C], of each that can be read: upright, in sRGB, without alpha."""
        for name in self.names:
            try:
                with quiet_pillow():
                    image = np.asarray(read_image(self._root / name, self._mode))
            except ImageError as error:
                self.failures.append(Failure(path=name, reason=str(error)))
                continue
            yield name, image[:, :, None] if image.ndim == 2 else image


def measured(method: Method, name: str, clean: np.ndarray, noisy: np.ndarray, sigma: float) -> Row:
    """One method on one image: uint8 [H, W, C], and the same with noise of ``sigma``, float32 where white is 1."""
    taken = method.taken(noisy)
    began = time.perf_counter()
    made = method.denoised(taken, sigma)
    seconds = time.perf_counter() - began
    return _row(name, sigma, method.name, clean, rounded(made), seconds)


def noisy_row(name: str, clean: np.ndarray, noisy: np.ndarray, sigma: float) -> Row:
    """What the noisy image itself comes to: as it is, neither clipped nor rounded."""
    return _row(name, sigma, NOISY, clean, noisy.astype(np.float64) * _WHITE, None)


def warm_up(methods: Sequence[Method], clean: np.ndarray, sigma: float) -> None:
    """Have each method see a part of an image, so that no time is taken of what happens once."""
    crop = noisy_image(clean[:_WARM_UP, :_WARM_UP], sigma, 0)
    for method in methods:
        method.denoised(method.taken(crop), sigma)


def _row(name: str, sigma: float, method: str, clean: np.ndarray, other: np.ndarray, seconds: float | None) -> Row:
    decibels = psnr(clean, other)
    return Row(
        image=name,
        sigma=sigma,
        method=method,
        psnr=None if decibels == inf else decibels,
        ssim=similarity(clean, other),
        seconds=seconds,
        megapixels=clean.shape[0] * clean.shape[1] / 1e6,
    )


def _checked(codec: Codec, options: DenoisingOptions) -> BundleMethod:
    """The bundle as a method, where it and the options can be measured."""
    if options.told not in get_args(Told):
        raise UnknownNameError("value of --told", options.told, get_args(Told))
    if not options.sigmas:
        raise ConfigError("--sigma is empty: give noise levels such as 15,25,50.")
    ours = BundleMethod(codec, options.told)
    for sigma in options.sigmas:
        # What is asked in units of [0, 1], as of other evaluations, would be no noise at all here.
        if not 1.0 <= sigma <= _WHITE:
            raise ConfigError(
                f"--sigma {sigma:g}: with --denoising it is in levels of 255, from 1 to 255, such as 15,25,50."
            )
        if ours.tells:
            codec.check_sigma(sigma)
    return ours
