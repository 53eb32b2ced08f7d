"""An array becomes an image file, whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from aedeploy.errors import ConfigError, ImageError
from aedeploy.files import write_bytes
from aedeploy.images.png import png_bytes

ImageFormat = Literal["png", "jpeg", "webp", "tiff"]

_EXTENSIONS: dict[ImageFormat, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}

# Of JPEG and WebP, where none is asked for.
_QUALITY = 90

# Level 6 costs several times as much, for files that are a few per cent smaller.
_LEVEL = 1

_TIFF_COMPRESSION = {"none": None, "deflate": "tiff_adobe_deflate", "lzw": "tiff_lzw"}
_TIFF_DESCRIPTION = 270

# Pixels of a side.
_LARGEST: dict[ImageFormat, int] = {"jpeg": 65_500, "webp": 16_383}


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How images are written."""

    format: ImageFormat = "png"
    quality: int | None = None  # jpeg, webp: 1 to 100; None is 90
    compression: str | int | None = None  # png: a level, 0 to 9; tiff: none, deflate or lzw; webp: lossless

    def __post_init__(self) -> None:
        """
        Raises:
            ConfigError: there is no such format, or it has no such option.
        """
        if self.format not in get_args(ImageFormat):
            raise ConfigError(f"Images are written as png, jpeg, webp or tiff, not {self.format!r}.")
        if self.quality is not None:
            if self.format not in ("jpeg", "webp"):
                raise ConfigError(f"A {self.format} file keeps every pixel as it is: --quality is for jpeg and webp.")
            if not 1 <= self.quality <= 100:
                raise ConfigError(f"The quality of a {self.format} file is from 1 to 100, not {self.quality}.")
        object.__setattr__(self, "compression", self._checked_compression())
        if self.compression == "lossless" and self.quality is not None:
            raise ConfigError("A lossless webp file has no quality: give --quality or --compression, not both.")

    def _checked_compression(self) -> str | int | None:
        given = self.compression
        if given is None:
            return None
        if self.format == "png":
            if str(given) not in tuple("0123456789"):
                raise ConfigError(f"The compression of a png file is a level from 0 to 9, not {given!r}.")
            return int(given)
        known = {"jpeg": (), "webp": ("lossless",), "tiff": tuple(_TIFF_COMPRESSION)}[self.format]
        if given not in known:
            instead = f"it is {', '.join(known)}" if known else "give --quality"
            raise ConfigError(f"There is no compression {given!r} of a {self.format} file: {instead}.")
        return given

    @property
    def extension(self) -> str:
        """What the names of such files end with: ``.png``, ``.jpg``, ``.webp`` or ``.tif``."""
        return _EXTENSIONS[self.format]

    @property
    def supports_alpha(self) -> bool:
        return self.format != "jpeg"

    @property
    def supports_depth16(self) -> bool:
        return self.format in ("png", "tiff")


def image_bytes(
    pixels: np.ndarray,
    options: ImageOptions,
    *,
    alpha: np.ndarray | None = None,
    notes: Mapping[str, str] = {},
) -> bytes:
    """uint8 or uint16 [H, W, C], C = 1 or 3, as the content of a file, in sRGB and without a profile.

    Args:
        alpha: uint8 [H, W], 255 where it is opaque; left out where the format has none.
        notes: text for the file's metadata: a PNG's text chunks, a TIFF's description, a JPEG's comment, the
            description in a WebP's EXIF.

    16 bits become 8 where the format has no more, and in a TIFF that has colours or alpha.

    Raises:
        ImageError: the format holds no image as large. The message is the reason alone, in one line.
    """
    most = _LARGEST.get(options.format)
    if most is not None and max(pixels.shape[:2]) > most:
        raise ImageError(f"it is too large: a side of a {options.format} file has no more than {most:,} pixels")
    if alpha is not None and not options.supports_alpha:
        alpha = None
    plain = alpha is None and pixels.shape[2] == 1
    if pixels.dtype == np.uint16 and options.format != "png" and not (plain and options.supports_depth16):
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if alpha is not None:
        opacity = alpha if pixels.dtype == np.uint8 else alpha.astype(np.uint16) * 257
        pixels = np.dstack([pixels, opacity])
    if options.format == "png":
        return _png(pixels, _LEVEL if options.compression is None else int(options.compression), notes)
    stream = io.BytesIO()
    _image(pixels).save(stream, options.format.upper(), **_saving(options, notes))
    return stream.getvalue()


def png_of(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, C], C = 1 or 3, as the content of a PNG file."""
    return png_bytes(pixels, _LEVEL, {})


def write_png(path: Path, pixels: np.ndarray, *, sync: bool = True) -> None:
    """Replace ``path`` by uint8 [H, W, C] as a PNG, atomically; of ``sync`` see :func:`aedeploy.files.replacing`.

    Raises:
        OSError: the disk is full, the folder cannot be written, the name is too long; ``path`` is as it was.
    """
    write_bytes(path, png_of(pixels), sync=sync)


def _png(pixels: np.ndarray, level: int, notes: Mapping[str, str]) -> bytes:
    # Who asks for a smaller file gets filters that are chosen row by row. Pillow knows no 16-bit colours or alpha.
    if level == _LEVEL or (pixels.dtype == np.uint16 and pixels.shape[2] > 1):
        return png_bytes(pixels, level, notes)
    text = PngImagePlugin.PngInfo()
    for key, value in notes.items():
        text.add_text(key, value)
    stream = io.BytesIO()
    _image(pixels).save(stream, "PNG", compress_level=level, pnginfo=text)
    return stream.getvalue()


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _saving(options: ImageOptions, notes: Mapping[str, str]) -> dict[str, Any]:
    """What Pillow is told when it saves a JPEG, a WebP or a TIFF."""
    text = "\n".join(f"{key}: {value}" for key, value in notes.items()).encode()
    quality = _QUALITY if options.quality is None else options.quality
    if options.format == "jpeg":
        return {"quality": quality, "comment": text}
    if options.format == "tiff":
        return {
            "compression": _TIFF_COMPRESSION[str(options.compression or "deflate")],
            "tiffinfo": {_TIFF_DESCRIPTION: text} if text else {},
        }
    exif = Image.Exif()
    if text:
        exif[ExifTags.Base.ImageDescription] = text
    how = {"lossless": True} if options.compression == "lossless" else {"quality": quality}
    # exact: colours stay as they are where nothing of them is to be seen.
    return {**how, "exact": True, "exif": exif.tobytes() if text else b""}
