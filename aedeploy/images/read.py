"""A file becomes an upright image in the colour mode that a model takes, or an ImageError that says why not.

Only formats that Pillow decodes by itself are opened: EPS would start Ghostscript, WMF the system's own renderer,
and others (HDF5, GRIB, MPEG) are recognised by Pillow and not decoded.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from PIL import ExifTags, Image, UnidentifiedImageError

from aedeploy.errors import ImageError
from aedeploy.images.colour import Mode as Mode
from aedeploy.images.colour import converted, own_mode
from aedeploy.images.png import plain_png
from aedeploy.images.quiet import QUIET
from aedeploy.images.quiet import quiet_pillow as quiet_pillow

#: scaled: a JPEG may be decoded at a half, a quarter or an eighth of its size, where that is enough.
Decode = Literal["full", "scaled"]

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

# Those that turn by a quarter.
_SIDEWAYS = frozenset(turn for orientation, turn in _UPRIGHT.items() if orientation >= 5)

# Bytes. A file of fewer is read in one go.
_SMALL = 2**16

# Where Pillow finds an orientation. TIFF is not here: Pillow turns it when it loads the pixels.
_ORIENTED_BY = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})


@dataclass(slots=True)
class Picture:
    """What became of an image file."""

    image: Image.Image  # upright, sRGB; its mode is "L" or "RGB", or "I;16" where ``depth`` is 16
    alpha: Image.Image | None  # "L", of the same size; None where all is opaque, or it was not asked for
    depth: int  # bits of a sample, 8 or 16
    size: tuple[int, int]  # (width, height) of the upright image in full, also where it was decoded smaller
    scaled: bool = False  # whether it was


@dataclass(frozen=True, slots=True)
class _Wish:
    """The options of :func:`read_picture`."""

    mode: Mode | None
    max_pixels: int
    scaled_to: tuple[int, int] | None
    deep: bool
    alpha: bool


def read_image(source: str | Path | bytes, mode: Mode, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image file, or its content: its first frame, upright, in ``mode``, of its own size; alpha is dropped.

    Raises:
        ImageError: it cannot be read as an image. The message is the reason alone, in one line, without the path.
    """
    return read_picture(source, mode, max_pixels=max_pixels).image


def read_picture(
    source: str | Path | bytes,
    mode: Mode | None,
    *,
    max_pixels: int = MAX_PIXELS,
    scaled_to: tuple[int, int] | None = None,
    deep: bool = False,
    alpha: bool = False,
    name: str = "",
) -> Picture:
    """Decode an image file, or its content: its first frame, upright, in sRGB, as "L" or "RGB".

    Args:
        source: a path, or the content of a file.
        mode: what it is to be; None: grey where the file has one channel, else in colours.
        scaled_to: (width, height): a JPEG need not come larger than is enough to be resized to that.
        deep: keep the 16 bits of a grey image, where it comes as grey.
        alpha: keep the transparency, beside the colours.
        name: the file's name, where ``source`` is its content: its extension chooses the format that is tried first.

    Raises:
        ImageError: it cannot be read as an image. The message is the reason alone, in one line, without the path.
    """
    try:
        if isinstance(source, bytes):
            return _from_content(source, name, mode, max_pixels, scaled_to, deep, alpha)
        with open(source, "rb", buffering=0) as file:
            # A small file is read in one go: Pillow asks for it in a dozen pieces.
            start = file.read(_SMALL)
            if len(start) < _SMALL:
                return _from_content(start, str(source), mode, max_pixels, scaled_to, deep, alpha)
            file.seek(0)
            with io.BufferedReader(file) as buffered:
                return _decode(buffered, str(source), _Wish(mode, max_pixels, scaled_to, deep, alpha))
    except ImageError:
        raise
    except Exception as error:  # SyntaxError, struct.error …: a broken file makes Pillow raise nearly anything
        raise ImageError(_reason(error, max_pixels)) from None


def _from_content(
    data: bytes,
    name: str,
    mode: Mode | None,
    max_pixels: int,
    scaled_to: tuple[int, int] | None,
    deep: bool,
    alpha: bool,
) -> Picture:
    image = plain_png(data, max_pixels)
    if image is not None:
        return Picture(image if mode in (None, image.mode) else image.convert(mode), None, 8, image.size)
    return _decode(io.BytesIO(data), name, _Wish(mode, max_pixels, scaled_to, deep, alpha))


def _formats(name: str) -> tuple[str, ...]:
    # Not by Path.suffix: that takes as long as a tenth of a small image.
    return _TRIED[_FORMAT_OF.get(f".{name.rpartition('.')[2].lower()}", "PNG")]


def _decode(stream: IO[bytes], name: str, wish: _Wish) -> Picture:
    with QUIET:
        QUIET.allow(wish.max_pixels)
        image: Image.Image = Image.open(stream, formats=_formats(name))
        _check_size(image.size, wish.max_pixels)
        full = image.size
        scaled = wish.scaled_to is not None and _drafted(image, wish.scaled_to)
        image.load()
        if not scaled:
            # An icon holds whole files, of which its header may say something else.
            _check_size(image.size, wish.max_pixels)
            full = image.size
        turn = _turn(image)
        pixels, alpha, depth = converted(image, wish.mode or own_mode(image), deep=wish.deep, alpha=wish.alpha)
    # What the file said of its orientation and its colours is carried out, and must not be once more.
    pixels.info = {}
    if turn is not None:
        pixels = pixels.transpose(turn)
        alpha = alpha and alpha.transpose(turn)
        full = full[::-1] if turn in _SIDEWAYS else full
    return Picture(pixels, alpha, depth, full, scaled)


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise ImageError(f"it has {size[0]}×{size[1]} pixels{_allow_more(max_pixels)}")


def _allow_more(max_pixels: int) -> str:
    return f", and no more than {max_pixels:,} are decoded: allow more with --max-pixels"


def _drafted(image: Image.Image, target: tuple[int, int]) -> bool:
    """Have a JPEG decoded at the least scale that is no smaller than ``target``, (width, height) when it is upright."""
    if image.format not in ("JPEG", "MPO"):
        return False
    full = image.size
    image.draft(None, target[::-1] if _turn(image) in _SIDEWAYS else target)
    return image.size != full


def upright(image: Image.Image) -> Image.Image:
    """Turn and mirror a loaded image as its EXIF orientation says; as it is, where that cannot be read."""
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    if _ORIENTED_BY.isdisjoint(image.info):
        return None
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    except Exception:  # broken EXIF is no reason to refuse sound pixels, and fails in as many ways as a broken image
        return None


def _reason(error: Exception, max_pixels: int) -> str:
    """What went wrong, in one line, without the path and without the name of an object in memory."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format, or its header is broken"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has too many pixels{_allow_more(max_pixels)}"
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode it"
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read: {error.strerror}"
    message = " ".join(str(error).split()) or type(error).__name__
    return f"it cannot be decoded: {message[:200]}"
