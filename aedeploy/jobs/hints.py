"""What the person who starts a job should know of its images, from a look at a few of their headers."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from aedeploy.errors import ImageError
from aedeploy.images.geometry import Resize
from aedeploy.images.read import FORMATS, quiet_pillow, read_picture
from aedeploy.jobs.plan import Plan
from aedeploy.jobs.sources import Contents, open_contents
from aedeploy.jobs.spec import Source
from aedeploy.runtime.codec import image_geometry

_LOOKED_AT = 8

# Below this, reading smaller JPEGs gains little.
_MUCH_LARGER = 4
_WORTH_SAYING = 1.3

# What the measurement of the gain may take.
_TIMES, _SECONDS = 5, 0.3

#: Kinds of sources that are on this machine: of others, only what came along with the listing is looked at.
_LOCAL = ("folder", "files", "tar", "zip")

# Of a member of an archive: a look is no reason to fill the memory.
_LARGEST = 64 * 2**20

_INTO: dict[Resize, str] = {
    "exact": "resized to {size}",
    "fit": "fitted into {size} on black",
    "crop": "cut to the shape of {size} and resized to that",
}
_BACK: dict[Resize, str] = {
    "exact": " and back",
    "fit": ", and brought back to its own size",
    "crop": ", and brought back without what was cut off",
}


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the start of an image file says."""

    file: Path | bytes  # or its content
    size: tuple[int, int]  # (width, height), as stored
    is_jpeg: bool


def first_headers(plan: Plan) -> list[Header] | None:
    """The headers of a few inputs, from all over the first of them; None where to see them is to fetch them."""
    if plan.settings.job == "decode":
        return None
    headers, seen = [], False
    with contextlib.closing(open_contents(plan.settings.origin)) as contents:
        for source in plan.cutter.first(_LOOKED_AT):
            if source.data is None and plan.settings.origin.kind not in _LOCAL:
                continue
            seen = True
            try:
                file = _content(plan, contents, source)
                opened = io.BytesIO(file) if isinstance(file, bytes) else file
                with quiet_pillow(), Image.open(opened, formats=list(FORMATS)) as image:
                    headers.append(Header(file=file, size=image.size, is_jpeg=image.format in ("JPEG", "MPO")))
            except Exception:  # as a broken image may raise nearly anything; the job itself will say what is wrong
                continue
    return headers if seen else None


def _content(plan: Plan, contents: Contents, source: Source) -> Path | bytes:
    origin = plan.settings.origin
    if origin.kind in ("folder", "files"):  # where Pillow reads no more than the header
        place = Path(origin.location)
        return (place if place.is_dir() else place.parent) / source.file
    if source.bytes > _LARGEST:
        raise ImageError("not looked at")
    return contents.read(source)


def geometry_of(plan: Plan) -> str:
    """What happens to the geometry of the images, in a sentence without its full stop."""
    settings = plan.settings
    geometry = image_geometry(plan.request.bundle, settings.reading.resize)
    size = f"{geometry.width}×{geometry.height}"
    if settings.job == "decode":
        return f"each image comes out at {size}"
    if settings.any_size:
        above = f"above {settings.tile:,} pixels a side" if settings.tile else "where it does not fit into memory"
        return f"each image goes through at its own size, in tiles {above}"
    into = _INTO[settings.reading.resize].format(size=size)
    if settings.job == "encode" or settings.size == "model":
        return f"each image is {into}"
    return f"each image is {into}{_BACK[settings.reading.resize]}"


def is_resized(plan: Plan, headers: list[Header] | None) -> bool:
    """Whether the geometry of an image is changed, as far as the headers tell."""
    if plan.settings.job == "decode" or plan.settings.any_size:
        return False
    geometry = image_geometry(plan.request.bundle)
    return headers is None or any(header.size != (geometry.width, geometry.height) for header in headers)


def scaled_hint(plan: Plan, headers: list[Header] | None) -> str | None:
    """That ``--decode scaled`` would pay, by how much here, and at what price; None where it would not, or is given."""
    settings, earlier = plan.settings, plan.record is not None and not plan.request.overwrite
    if settings.job == "decode" or settings.any_size or settings.reading.decode == "scaled" or earlier:
        return None
    geometry = image_geometry(plan.request.bundle)
    large = [
        header
        for header in headers or ()
        if header.is_jpeg
        and min(header.size[0] / geometry.width, header.size[1] / geometry.height) >= _MUCH_LARGER
        and header.size[0] * header.size[1] <= settings.reading.max_pixels
    ]
    if not large or 2 * len(large) < len(headers or ()):
        return None
    times = _gain(min(large, key=lambda header: header.size), (geometry.width, geometry.height))
    if times is None or times < _WORTH_SAYING:
        return None
    return (
        f"These JPEGs are much larger than the model's {geometry.width}×{geometry.height}: --decode scaled reads them "
        f"{times:.1f} times faster; their pixels differ a little then (docs/pixels.md)."
    )


def _gain(header: Header, size: tuple[int, int]) -> float | None:
    """How many times faster an image is read at a reduced scale, measured."""
    try:
        began = time.perf_counter()
        pairs = [(_seconds(header.file, size, None), _seconds(header.file, size, size))]
        while len(pairs) < _TIMES and time.perf_counter() - began < _SECONDS:
            pairs.append((_seconds(header.file, size, None), _seconds(header.file, size, size)))
    except ImageError:
        return None
    # Of each the least: whatever else goes on here only adds to it.
    return min(full for full, _ in pairs) / min(scaled for _, scaled in pairs)


def _seconds(file: Path | bytes, size: tuple[int, int], scaled_to: tuple[int, int] | None) -> float:
    began = time.perf_counter()
    read_picture(file, "RGB", scaled_to=scaled_to).image.resize(size, Image.Resampling.BILINEAR)
    return time.perf_counter() - began
