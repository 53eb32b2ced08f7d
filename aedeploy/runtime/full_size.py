"""Images of any size through a fully convolutional model: whole, or in tiles that give what the whole would."""

from __future__ import annotations

import shlex
from math import isqrt, lcm

import numpy as np

from aedeploy.bundle import AnySize
from aedeploy.errors import BackendError, ConfigError, ImageError
from aedeploy.images.pixels import to_floats
from aedeploy.images.strength import blended
from aedeploy.images.tiles import Span, Tiling, blend, tiles
from aedeploy.runtime.codec import Codec
from aedeploy.runtime.memory import available_memory
from aedeploy.runtime.told import of_image

#: Of the memory that is available, how much all workers together take for graphs.
_SHARE = 0.5

#: What an engine takes, as a multiple of PyTorch's values at their most: see docs/any-size.md for what was measured.
_ENGINE = 3.0

#: Bytes a pixel, of a bundle that does not say.
_BYTES_PER_PIXEL = 512

#: Sides of tiles. Larger ones are no faster, and less than the least leaves more overlap than image.
_LARGEST, _LEAST = 2048, 128

#: What is taken of a GPU's memory, which only its own libraries could tell.
_DEVICE_BYTES = 4 * 2**30


def require_any_size(codec: Codec) -> None:
    """Raise a ConfigError where the model takes images of one size only."""
    image = codec.bundle.manifest.image
    if not image.dynamic_size:
        raise ConfigError(
            f"The model of bundle {codec.bundle.name!r} takes images of {image.width}×{image.height} pixels and no "
            "others: train a fully convolutional variant (docs/any-size.md lists them) for any size."
        )


def require_tiles(codec: Codec) -> None:
    """Raise a ConfigError where the model takes any size, and an image must not be cut into tiles for it."""
    require_any_size(codec)
    reason = _uncut(codec)
    if reason:
        raise ConfigError(f"--tile: {reason}")


def usual_tile(codec: Codec, *, workers: int = 1) -> int:
    """The side of a tile, in pixels, by the memory that is available now to each of so many workers.

    A power of two, so that a little more or less memory makes no difference. Of a model whose images cannot be cut:
    the root of as many pixels as fit.
    """
    if codec.device == "cpu":
        budget = int(available_memory() * _SHARE) // max(1, workers)
    else:
        budget = _DEVICE_BYTES // max(1, workers)
    most = isqrt(budget // _cost(codec))
    if _uncut(codec):
        return max(_LEAST, most)
    tiling, side = _tiling(codec, _LARGEST), _LARGEST
    while side > max(most, _LEAST):
        side //= 2
    # Overlap at most as much as there is image.
    return max(side, 2 * tiling.overlap, tiling.least_side)


class FullSize:
    """A codec's autoencoder on images of any size.

    ``tile`` is the side, in pixels, above which an image is cut; None: :func:`usual_tile` says.

    Attributes:
        tile: the side in use.
        cuts: whether images are cut; where not, those of more than ``tile``² pixels are refused.
        cut: whether the last image was.
        sigma: what the model was told of the last image's noise; None: nothing.

    Raises:
        ConfigError: the model has a fixed size, or tiles of that size would be nothing but overlap.
    """

    def __init__(self, codec: Codec, *, tile: int | None = None, workers: int = 1) -> None:
        require_any_size(codec)
        self._codec = codec
        self._image = codec.bundle.manifest.image
        self._refusal = _uncut(codec)
        self.tile = usual_tile(codec, workers=workers) if tile is None else tile
        self.cuts, self.cut = self._refusal is None, False
        self.sigma: float | None = None
        self._tiling = _tiling(codec, self.tile)
        if self.cuts and self.tile < self._tiling.least_side:
            raise ConfigError(
                f"--tile {self.tile}: tiles of bundle {codec.bundle.name!r} overlap by {self._tiling.overlap} pixels, "
                f"so that less than {self._tiling.least_side} gets nowhere: give that or more."
            )

    def reconstruct(self, pixels: np.ndarray, *, sigma: float | None = None) -> np.ndarray:
        """One image, [H, W, C] of the model's channels: uint8, uint16 or float32 in [0, 1].

        ``sigma``, of a model that is told how much noise there is: its standard deviation in levels of 255; None:
        estimated, of the whole image.

        Returns float32 [H, W, C] in [0, 1], which is not checked for NaN; of a graph of uint8 pixels, uint8.

        Raises:
            ConfigError: it is no such array, or the model takes no such ``sigma``.
            ImageError: it is too large to go through in one piece, and must not be cut.
            BackendError: the graph could not run.
        """
        self._check(pixels)
        sigma = self.sigma = self._told(pixels, sigma)
        height, width = (self._padded(length) for length in pixels.shape[:2])
        if self._refusal and height * width > self.tile**2:
            found = f"it has {pixels.shape[1]}×{pixels.shape[0]} pixels, more than {self.tile}² in one piece"
            raise ImageError(f"{found}, and {self._refusal[0].lower()}{self._refusal[1:].rstrip('.')}")
        whole = self._refusal is not None or max(height, width) <= self.tile
        self.cut = not whole
        if whole:
            made = self._run(pixels, _whole(height), _whole(width), sigma)
            return np.ascontiguousarray(made[: pixels.shape[0], : pixels.shape[1]])
        image = np.zeros(pixels.shape, np.uint8 if self._is_bytes else np.float32)
        for rows, columns in tiles(self._tiling, height, width):
            blend(image, self._run(pixels, rows, columns, sigma), rows, columns)
        return image

    def _told(self, pixels: np.ndarray, sigma: float | None) -> float | None:
        """What the model is told of an image's noise: of the whole image, so that its tiles are told the same."""
        if np.ndim(sigma) > 0:  # type: ignore[arg-type]
            raise ConfigError("sigma is one number here: there is one image.")
        self._codec.check_sigma(sigma)
        noise = self._codec.bundle.manifest.noise
        if noise is None or sigma is not None:
            return sigma
        return of_image(noise, pixels)

    @property
    def _is_bytes(self) -> bool:
        return self._codec.open("autoencoder").outputs[0].dtype == "uint8"

    def _padded(self, length: int) -> int:
        multiple = self._image.multiple_of
        return -(-max(length, self._image.minimum) // multiple) * multiple

    def _run(self, pixels: np.ndarray, rows: Span, columns: Span, sigma: float | None) -> np.ndarray:
        """One tile of an image through the graph, as [h, w, C]; beyond the image its last pixels are repeated."""
        there = pixels[rows.start : rows.stop, columns.start : columns.stop]
        beyond = ((0, rows.size - there.shape[0]), (0, columns.size - there.shape[1]), (0, 0))
        batch = np.pad(there, beyond, mode="edge")[None]
        if batch.dtype == np.float32:
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        elif batch.dtype == np.uint16:
            batch = to_floats(batch)
        (made,) = self._codec.run("autoencoder", batch, sigma=sigma).values()
        image: np.ndarray = made[0] if made.dtype == np.uint8 else made[0].transpose(1, 2, 0)
        return image

    def _check(self, pixels: np.ndarray) -> None:
        channels = self._image.channels
        fits = pixels.ndim == 3 and pixels.shape[2] == channels and min(pixels.shape) > 0
        if not fits or pixels.dtype not in (np.uint8, np.uint16, np.float32):
            raise ConfigError(
                f"An image must be uint8, uint16 or float32 [H, W, {channels}], and is {pixels.dtype} "
                f"{list(pixels.shape)}."
            )


def denoised(codec: Codec, pixels: np.ndarray, *, sigma: float | None, strength: float, tile: int | None) -> np.ndarray:
    """What :meth:`Codec.denoise_image` says, of [H, W, C] or [H, W] that were checked."""
    if not 0.0 <= strength <= 1.0:
        raise ConfigError(f"strength lies between 0, which leaves an image as it is, and 1: {strength:g} does not.")
    image = pixels[:, :, None] if pixels.ndim == 2 else pixels
    made = FullSize(codec, tile=tile).reconstruct(image, sigma=sigma)
    if not np.isfinite(made).all():
        raise BackendError(f"The autoencoder of bundle {codec.bundle.name!r} gave NaN or infinity.")
    return blended(image, made, strength).reshape(pixels.shape)


def _whole(length: int) -> Span:
    return Span(start=0, stop=length, first=0, settled=0, last=length)


def _uncut(codec: Codec) -> str | None:
    """Why images must not be cut into tiles for a model, and what to do; None where they may."""
    manifest = codec.bundle.manifest
    what = f"The model of bundle {codec.bundle.name!r} does not take tiles"
    if manifest.any_size is None:
        command = f"aedeploy export {shlex.quote(str(codec.bundle.path))}"
        return f"{what} before it is exported again ({command}): its manifest does not say yet how far a pixel looks."
    if manifest.any_size.radius is None:
        return f"{what}, because of {manifest.any_size.unbounded_by}: give smaller images, or --size model."
    return None


def _tiling(codec: Codec, side: int) -> Tiling:
    manifest = codec.bundle.manifest
    any_size = manifest.any_size or AnySize(radius=None, stride=1, bytes_per_pixel=1)
    step = lcm(any_size.stride, manifest.image.multiple_of)
    return Tiling(side=side, margin=any_size.radius or 0, step=step)


def _cost(codec: Codec) -> int:
    """Bytes for each pixel of a tile: what the engine holds, and the tile itself on its way in and out."""
    manifest = codec.bundle.manifest
    of_model = manifest.any_size.bytes_per_pixel if manifest.any_size else _BYTES_PER_PIXEL
    return int(of_model * _ENGINE) + 4 * 4 * manifest.image.channels
