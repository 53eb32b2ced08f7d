"""A file becomes an upright image in the colour mode that a model takes, or an ImageError that says why not.

Only formats that Pillow decodes by itself are opened: EPS would start Ghostscript, WMF the system's own renderer,
and others (HDF5, GRIB, MPEG) are recognised by Pillow and not decoded.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Literal

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from aedeploy.errors import ImageError

Mode = Literal["L", "RGB"]

#: An image of more pixels is refused by its header, before its pixels take the memory.
MAX_PIXELS = 100_000_000

#: Pillow's formats that are read, and the file names that they go by.
FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "TGA": (".tga",),
    "ICO": (".ico",),
    "PCX": (".pcx",),
    "DIB": (".dib",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "DDS": (".dds",),
}

_FORMAT_OF = {extension: name for name, extensions in FORMATS.items() for extension in extensions}

#: The names that images go by, in lower case.
EXTENSIONS = frozenset(_FORMAT_OF)

# The format that the name promises is tried first: Pillow imports all of its plugins when that is not it.
_TRIED = {name: (name, *(other for other in FORMATS if other != name)) for name in FORMATS}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Bytes. A file of fewer is read in one go.
_SMALL = 2**16

# Where Pillow finds an orientation. TIFF is not here: Pillow turns it when it loads the pixels.
_ORIENTED_BY = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})

_TIFF_BITS_PER_SAMPLE = 258

# Without a handler anywhere, Python itself would print what Pillow logs of a broken file.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_image(source: str | Path | bytes, mode: Mode, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image file, or its content: its first frame, upright, in ``mode``, of its own size; alpha is dropped.

    Raises:
        ImageError: it cannot be read as an image. The message is the reason alone, in one line, without the path.
    """
    try:
        with _QUIET:
            if isinstance(source, bytes):
                return _decode(io.BytesIO(source), _TRIED["PNG"], mode, max_pixels)
            # Not by Path.suffix: that takes as long as a tenth of a small image.
            formats = _TRIED[_FORMAT_OF.get(f".{str(source).rpartition('.')[2].lower()}", "PNG")]
            with open(source, "rb", buffering=0) as file:
                # A small file is read in one go: Pillow asks for it in a dozen pieces.
                start = file.read(_SMALL)
                if len(start) < _SMALL:
                    return _decode(io.BytesIO(start), formats, mode, max_pixels)
                file.seek(0)
                with io.BufferedReader(file) as buffered:
                    return _decode(buffered, formats, mode, max_pixels)
    except ImageError:
        raise
    except (
        Exception
    ) as error:  # SyntaxError, IndexError, struct.error …: a broken file makes Pillow raise nearly anything
        raise ImageError(_reason(error)) from None


def _decode(stream: IO[bytes], formats: tuple[str, ...], mode: Mode, max_pixels: int) -> Image.Image:
    image = Image.open(stream, formats=formats)
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"it has {width}×{height} pixels, and no more than {max_pixels:,} are decoded")
    image.load()
    return in_mode(upright(image), mode)


def upright(image: Image.Image) -> Image.Image:
    """Turn and mirror a loaded image as its EXIF orientation says; as it is, where that cannot be read."""
    if _ORIENTED_BY.isdisjoint(image.info):
        return image
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    except Exception:  # broken EXIF is no reason to refuse sound pixels, and fails in as many ways as a broken image
        turn = None
    return image if turn is None else image.transpose(turn)


def in_mode(image: Image.Image, mode: Mode) -> Image.Image:
    """Convert to 8-bit grey or RGB. Sixteen bits are divided by 257, whatever values an image happens to hold.

    Raises:
        ImageError: the image has 32-bit integers or floats, which have no range that stands for black to white.
    """
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        image = _eight_bit(image)
    elif image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        raise ImageError(f"its pixels are {kind}, for which no range is defined: save it with 8 or 16 bits")
    elif image.mode == "PA" or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode in ("LAB", "HSV", "La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGB"))
    return image if image.mode == mode else image.convert(mode)


class _QuietPillow:
    """How many threads are reading now, and the warning filters from before the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._before: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0 and self._before is not None:
                self._before.__exit__(None, None, None)


_QUIET = _QuietPillow()


def quiet_pillow() -> AbstractContextManager[None]:
    """Ignore Pillow's warnings: what a file is good for is said by its pixels or by an ImageError.

    ``warnings.catch_warnings`` alone is not safe in threads: one that leaves would undo what another still needs.
    Hold this around many reads to pay for the filter once.
    """
    return _QUIET


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits, by the range of its format: 0 to 65535, or what a TIFF says of its samples."""
    most = 65535
    if image.format == "TIFF":
        bits = image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (16,))[0]  # type: ignore[attr-defined]
        most = (1 << bits) - 1
    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((np.minimum(values, most) * 255 + most // 2) // most).astype(np.uint8))


def _reason(error: Exception) -> str:
    """What went wrong, in one line, without the path and without the name of an object in memory."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format, or its header is broken"
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode it"
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read: {error.strerror}"
    message = " ".join(str(error).split()) or type(error).__name__
    return f"it cannot be decoded: {message[:200]}"
