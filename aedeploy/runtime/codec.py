"""The Codec: images in, latents out, and back, by the contract of a bundle."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.bundle.locate import find_bundle
from aedeploy.bundle.manifest import Pixels, Role
from aedeploy.errors import BackendError, ConfigError
from aedeploy.images.batches import Images, batches
from aedeploy.images.geometry import Geometry, Resize
from aedeploy.images.one import AnImage, one_image
from aedeploy.images.pixels import to_bytes, to_floats
from aedeploy.runtime.open import choose_engine, open_graph
from aedeploy.runtime.runner import Arrays, GraphRunner
from aedeploy.runtime.told import Sigma, check_sigma, sigma_map, with_sigma

# Input values of one call: what a convolution makes of more no longer fits a core's cache. Measured on the default
# recipe at 128×128: 0.81 ms an image at a batch of 4, 0.85 at 16, 0.95 at 60, 1.06 at 120.
_BATCH_VALUES = 2**19
_MOST_IMAGES = 256

#: The outputs of graphs that are images.
IMAGES = frozenset({"image", "reconstruction"})


def load(
    bundle: str | Path | Bundle,
    *,
    backend: str | None = None,
    format: str | None = None,
    pixels: Pixels | None = None,
    device: str = "cpu",
    threads: int | None = None,
    allow_failed: bool = False,
) -> Codec:
    """Open a bundle to encode and decode images with it.

    Args:
        bundle: its folder, or its name in ``artifacts/`` or among those that came with the package.
        backend: what runs the graphs; by default onnxruntime, or what the bundle has graphs for.
        format: of the graphs; by default the backend's usual one that the bundle has.
        pixels: ``float32`` or ``uint8``: which graphs, where the bundle has both; results differ in rounding only.
        device: ``cpu``, ``cuda`` or ``mps``. One that is not there is an error, never a silent fall back.
        threads: of the engine; by default the cores that this process may use.
        allow_failed: run a graph although its parity check failed.

    Raises:
        BundleError: there is no such bundle, it has no graph for the backend, or a file of it was altered.
        ConfigError: the backend does not run such graphs.
        BackendError, MissingDependencyError, UnknownNameError: the backend or the device cannot run.
    """
    opened = bundle if isinstance(bundle, Bundle) else find_bundle(bundle)
    options = {"device": device, "threads": threads, "allow_failed": allow_failed}
    return Codec(opened, backend=backend, format=format, pixels=pixels, **options)  # type: ignore[arg-type]


def image_geometry(bundle: Bundle, resize: Resize = "exact") -> Geometry:
    """What a bundle's contract does to an image before it is a graph's input."""
    image = bundle.manifest.image
    return Geometry(mode=image.mode, height=image.height, width=image.width, resize=resize)


def auto_batch_size(geometry: Geometry) -> int:
    """How many images go through a graph at a time, where nobody says: the same on every machine."""
    values = geometry.channels * geometry.height * geometry.width
    return max(1, min(_MOST_IMAGES, _BATCH_VALUES // values))


def pixels_of(image: np.ndarray) -> np.ndarray:
    """An image output of either kind of graph, finite, as uint8 [N, H, W, C]."""
    return image if image.dtype == np.uint8 else to_bytes(image)


def in_bytes(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Inputs or outputs of a graph, finite, as one of uint8 pixels has them; what is no image stays."""
    return {name: pixels_of(array) if name in IMAGES else array for name, array in arrays.items()}


class Codec:
    """A bundle's graphs behind images and latents. Graphs are opened when they are first needed.

    Wherever ``images`` are taken, they are paths, PIL images or uint8 [H, W, C] arrays, any number and size of them,
    or one uint8 array [N, H, W, C] ([N, H, W] for a grey model). They go through in batches.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        backend: str | None = None,
        format: str | None = None,
        pixels: Pixels | None = None,
        device: str = "cpu",
        threads: int | None = None,
        allow_failed: bool = False,
    ) -> None:
        self.bundle = bundle
        self.engine = choose_engine(bundle, backend=backend, format=format, pixels=pixels)
        self.device = device
        self.geometry = image_geometry(bundle)
        self._options: dict[str, Any] = {"device": device, "threads": threads, "allow_failed": allow_failed}
        self._runners: dict[Role, GraphRunner] = {}
        self._opening = threading.Lock()

    @property
    def backend(self) -> str:
        """The name of what runs the graphs."""
        return self.engine.backend

    @property
    def graph_format(self) -> str | None:
        """The format of the graphs that run; None: the bundle's own weights do."""
        return self.engine.format

    def encode(self, images: Images, *, sigma: Sigma = None) -> np.ndarray:
        """Images to latents, float32 [N, *latent shape]: of a gaussian model, the means.

        ``sigma``: see :meth:`denoise`.

        Raises:
            ConfigError: what was given is not images, or the model has no encoder.
            ImageError: one of them cannot be read; the message names it.
        """
        return self.encode_all(images, sigma=sigma)["latent"]

    def encode_all(self, images: Images, *, sigma: Sigma = None) -> Arrays:
        """All that the encoder gives, by name: ``latent``, and ``logvar`` or ``indices`` where the model has them."""
        self.require_latent()
        return self._in_batches("encoder", batches(images, self.geometry, auto_batch_size(self.geometry)), sigma)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Latents, float32 [N, *latent shape], to images, uint8 [N, H, W, C].

        Raises:
            ConfigError: they are not an array of that dtype and shape, or not all finite.
        """
        self._check_latents(latents)
        size = auto_batch_size(self.geometry)
        parts = [np.zeros((0, self.geometry.height, self.geometry.width, self.geometry.channels), np.uint8)]
        for start in range(0, len(latents), size):
            parts.append(self._checked("decoder", latents[start : start + size])["image"])
        # Of no latents, no images; of some, their own size: a decoder may be free to give another than training had.
        return parts[0] if len(parts) == 1 else np.concatenate(parts[1:])

    def reconstruct(self, images: Images, *, sigma: Sigma = None) -> np.ndarray:
        """Images through the whole autoencoder, as uint8 [N, H, W, C] of the model's own size.

        ``sigma``: see :meth:`denoise`.
        """
        pixels = batches(images, self.geometry, auto_batch_size(self.geometry))
        return self._in_batches("autoencoder", pixels, sigma)["reconstruction"]

    def denoise(self, images: Images, *, sigma: Sigma = None) -> np.ndarray:
        """As :meth:`reconstruct`, by a model that was trained to give clean images back.

        All are brought to the model's own size: for photographs see :meth:`denoise_image`.

        ``sigma``, of a model that is told how much noise there is (its manifest has ``noise``): the noise's standard
        deviation in levels of 255, or one for each image; None: estimated, image by image.

        Raises:
            ConfigError: the model was not trained for that, or takes no such ``sigma``.
        """
        self.require_denoising()
        return self.reconstruct(images, sigma=sigma)

    def denoise_image(
        self, image: AnImage, *, sigma: float | None = None, strength: float = 1.0, tile: int | None = None
    ) -> np.ndarray:
        """One image at its own size, by a fully convolutional denoiser; a large one goes through in tiles.

        Args:
            image: a path, a PIL image, or an array of the model's channels: uint8, uint16 or float32 in [0, 1],
                [H, W, C], or of a grey model [H, W]. Transparency is dropped. A file is read as every command reads
                it: upright, in sRGB; of 16 bits, where it is grey and so is the model.
            sigma: see :meth:`denoise`; here, one number.
            strength: how much of the noise goes, 0 to 1: the mean, so weighted, of what the model gives and the image.
            tile: the side, in pixels, above which an image is cut; by default memory says.

        Returns an array of the image's own height, width and dtype: [H, W, C], or [H, W] for such an array.

        Raises:
            ConfigError: it is no such image, the model takes images of one size only or does not denoise, or takes no
                such ``sigma``; ``strength`` is beyond 0 and 1.
            ImageError: it cannot be read, or must not be cut and is too large whole.
            BackendError: the graph could not run, or gave NaN.
        """
        # Here, since it builds on the codec.
        from aedeploy.runtime.full_size import denoised

        self.require_denoising()
        return denoised(self, one_image(image, self.geometry.mode), sigma=sigma, strength=strength, tile=tile)

    def run(self, role: Role, values: np.ndarray, *, sigma: Sigma = None) -> Arrays:
        """One batch through one graph; the outputs are not checked.

        ``values`` are float32 of the shape that the contract says, or uint8 [N, H, W, C] images: either goes into
        either kind of graph. Images come out as the graph gives them, float32 or uint8: see :func:`pixels_of`.
        ``sigma``, of a graph that takes it: one for all images, or float32 [N], one for each; None: estimated.

        Raises:
            ConfigError: the graph takes no ``sigma``, or not such a one.
        """
        runner = self.open(role)
        taken, *told = runner.inputs
        if taken.name == "image":
            check_sigma(self.bundle, sigma, len(values))
        noise = self.bundle.manifest.noise
        given = {spec.name: sigma_map(noise, values, sigma) for spec in told} if noise else {}
        if taken.name == "image" and taken.dtype != values.dtype.name:
            values = to_bytes(values) if taken.dtype == "uint8" else to_floats(values)
        return runner.run({taken.name: values, **given})

    def check_sigma(self, sigma: Sigma) -> None:
        """Raise a ConfigError where the model takes no ``sigma``, or not such a one."""
        check_sigma(self.bundle, sigma)

    def open(self, role: Role) -> GraphRunner:
        """The runner of a graph, opened now if it was not before, so that its errors come now."""
        with self._opening:
            if role not in self._runners:
                engine = self.engine
                self._runners[role] = open_graph(
                    self.bundle,
                    role,
                    backend=engine.backend,
                    format=engine.format,
                    pixels=engine.pixels if engine.format else None,
                    **self._options,
                )
            return self._runners[role]

    def require_latent(self) -> None:
        """Raise a ConfigError when the model cannot be cut into encoder and decoder."""
        if self.bundle.manifest.latent is None:
            raise ConfigError(
                f"The model of bundle {self.bundle.name!r} cannot be cut into an encoder and a decoder: "
                "it can only reconstruct."
            )

    def require_denoising(self) -> None:
        """Raise a ConfigError when the model was not trained to remove noise."""
        if not self.bundle.manifest.denoises:
            raise ConfigError(
                f"The model of bundle {self.bundle.name!r} was not trained to remove noise: use reconstruct, "
                "or train one with  aedeploy train --variant denoising"
            )

    def close(self) -> None:
        """Free what the engines hold."""
        with self._opening:
            while self._runners:
                self._runners.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _in_batches(self, role: Role, pixels: Iterator[np.ndarray], sigma: Sigma) -> Arrays:
        """Run every batch and join the outputs; of no image, outputs of length 0 in their right shapes."""
        parts = [self._checked(role, batch, part) for batch, part in with_sigma(self.bundle, pixels, sigma)]
        if not parts:
            geometry = self.geometry
            black = np.zeros((1, geometry.height, geometry.width, geometry.channels), np.uint8)
            return {name: array[:0] for name, array in self._checked(role, black).items()}
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _checked(self, role: Role, values: np.ndarray, sigma: Sigma = None) -> Arrays:
        """The outputs of one batch, images as uint8 [N, H, W, C]."""
        outputs = self.run(role, values, sigma=sigma)
        for name, array in outputs.items():
            if not np.isfinite(array).all():
                raise BackendError(f"The {role} of bundle {self.bundle.name!r} gave NaN or infinity in {name!r}.")
        return in_bytes(outputs)

    def _check_latents(self, latents: np.ndarray) -> None:
        self.require_latent()
        contract = self.bundle.manifest.latent
        want = contract.shape if contract else ()
        if not isinstance(latents, np.ndarray) or latents.dtype != np.float32:
            found = getattr(latents, "dtype", type(latents).__name__)
            raise ConfigError(f"Latents must be one float32 array, and are {found}: latents.astype('float32').")
        fits = latents.ndim == len(want) + 1 and all(
            isinstance(dim, str) or dim == got for dim, got in zip(want, latents.shape[1:], strict=True)
        )
        if not fits:
            shape = ", ".join(["N", *map(str, want)])
            raise ConfigError(
                f"Latents of bundle {self.bundle.name!r} are [{shape}], and these are {list(latents.shape)}."
            )
        broken = ~np.isfinite(latents).all(axis=tuple(range(1, latents.ndim)))
        if broken.any():
            raise ConfigError(f"Latents must be finite: row {int(broken.argmax())} has NaN or infinity.")
