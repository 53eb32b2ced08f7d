"""A folder of image files: decoded once into memory, or, where that is too small for it, again in every epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor

from aedeploy.bundle import DataRecord
from aedeploy.data.digest import PixelDigest
from aedeploy.data.split import held_out_count, held_out_indices, split_rule
from aedeploy.errors import ImageError, NothingToDoError, TrainingError
from aedeploy.images.folder import list_images
from aedeploy.images.geometry import Geometry
from aedeploy.images.globs import any_of
from aedeploy.images.read import FORMATS, Mode, quiet_pillow, read_image
from aedeploy.runtime.cores import available_cores
from aedeploy.training.data.image_set import ImageSet, MemoryImages
from aedeploy.training.data.source import Data, DataRequest, Source
from aedeploy.training.memory import available_memory

#: The size of a folder's images when they are of several sizes, or large, and nobody said which to take.
DEFAULT_SIZE = 128
# Up to here the images' own size is taken, where all have the same.
_LARGEST_OWN_SIZE = 256
# So many headers are looked at to tell size and colour.
_PROBED = 256
# A thread gets a chunk, not an image: small ones take less time than handing them over.
_CHUNK = 32
_LISTED = 20
_GREY = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"})
# EXIF orientations that exchange height and width.
_TURNED = frozenset({5, 6, 7, 8})

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Files, and how each becomes pixels."""

    paths: tuple[Path, ...]
    geometry: Geometry
    workers: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.geometry.channels, self.geometry.height, self.geometry.width

    def decode(self, position: int) -> np.ndarray:
        """One image, uint8 [H, W, C]. Raises an ImageError when the file is no sound image."""
        return self.geometry.apply(read_image(self.paths[position], self.geometry.mode))


class StreamedImages:
    """Images decoded when their batch is due, by threads that keep a little ahead: Pillow works outside of the GIL."""

    def __init__(self, files: ImageFiles, positions: np.ndarray) -> None:
        self.files = files
        self.positions = positions

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.files.image_shape

    def __len__(self) -> int:
        return len(self.positions)

    def batches(self, order: Iterable[Tensor]) -> Generator[Tensor, None, None]:
        """As :meth:`ImageSet.batches`.

        Raises:
            TrainingError: a file that was sound at the start can no longer be read.
        """
        pieces = ((piece, last) for batch in order for piece, last in _pieces(batch.numpy()))
        parts: list[np.ndarray] = []
        for pixels, last in in_order(self._read, pieces, self.files.workers):
            parts.append(pixels)
            if last:
                yield torch.from_numpy(np.concatenate(parts)).permute(0, 3, 1, 2).contiguous()
                parts = []

    def to(self, device: torch.device) -> StreamedImages:
        return self

    def _read(self, piece: tuple[np.ndarray, bool]) -> tuple[np.ndarray, bool]:
        chosen, last = piece
        with quiet_pillow():
            return np.stack([self._decode(position) for position in self.positions[chosen]]), last

    def _decode(self, position: int) -> np.ndarray:
        try:
            return self.files.decode(position)
        except ImageError as error:
            name = self.files.paths[position].name
            raise TrainingError(f"{name} could be read when training began and cannot be read now: {error}.") from None


def folder_source(name: str, folder: Path, request: DataRequest) -> Source:
    """The images of a folder, of one size and colour.

    Raises:
        NothingToDoError: there is no image in it.
    """
    paths = tuple(folder / name for name in images_in(folder, request.exclude))
    mode, (height, width), notes = _choose(paths, request)
    geometry = Geometry(mode=mode, height=height, width=width)
    files = ImageFiles(paths=paths, geometry=geometry, workers=request.workers or available_cores())
    return Source(
        name=name,
        image_shape=files.image_shape,
        load=lambda: _load(name, folder, files, request),
        notes=notes,
    )


def images_in(folder: Path, exclude: Sequence[str]) -> tuple[str, ...]:
    """The names of a folder's images, but for those that a pattern of ``exclude`` names.

    Raises:
        NothingToDoError: there is none.
    """
    found = list_images(folder).images
    excluded = any_of(exclude)
    names = tuple(name for name in found if excluded is None or not excluded.fullmatch(name))
    if not names:
        raise NothingToDoError(f"--exclude leaves none of the {len(found)} images in {folder}.")
    return names


def in_order(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """``map`` by threads: results in the order of ``items``, of which no more than a few are begun ahead."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="aedeploy-decode")
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pieces(positions: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    for at in range(0, len(positions), _CHUNK):
        yield positions[at : at + _CHUNK], at + _CHUNK >= len(positions)


def _load(name: str, folder: Path, files: ImageFiles, request: DataRequest) -> Data:
    """Decode every file once: to leave out the broken ones, for the digest, and to keep the pixels if they fit."""
    channels, height, width = files.image_shape
    shape = (len(files.paths), height, width, channels)
    limit = request.memory_limit if request.memory_limit is not None else available_memory() // 4
    stored = np.empty(shape, np.uint8) if prod(shape) <= limit else None
    digest = PixelDigest(files.image_shape)
    sound: list[int] = []
    reasons: list[str] = []
    for position, pixels in _examine(files):
        if isinstance(pixels, ImageError):
            reasons.append(f"{files.paths[position].relative_to(folder).as_posix()} ({pixels})")
            continue
        if stored is not None:
            stored[len(sound)] = pixels
        digest.update(np.ascontiguousarray(pixels))
        sound.append(position)
    if not sound:
        raise NothingToDoError(f"None of the {len(reasons)} image files in {folder} can be read: {listed(reasons)}.")
    held_out = held_out_count(len(sound), request.held_out)
    kept_back = np.zeros(len(sound), dtype=bool)
    kept_back[held_out_indices(len(sound), held_out)] = True
    positions = np.array(sound)

    def chosen(which: np.ndarray) -> ImageSet:
        return (
            StreamedImages(files, positions[which]) if stored is None else MemoryImages.of(stored[: len(sound)][which])
        )

    record = DataRecord(
        name=name,
        digest=digest.hexdigest(),
        train=len(sound) - held_out,
        held_out=held_out,
        split=split_rule(len(sound), held_out),
    )
    notes = [f"{len(reasons)} of {len(files.paths)} files cannot be read and are left out: {listed(reasons)}."]
    if stored is None:
        notes.append("The images are read anew in every epoch: together they would take too much memory.")
    return Data(
        train=chosen(~kept_back),
        held_out=chosen(kept_back),
        record=record,
        notes=tuple(notes if reasons else notes[1:]),
    )


def _examine(files: ImageFiles) -> Iterator[tuple[int, np.ndarray | ImageError]]:
    def decode_chunk(positions: np.ndarray) -> list[tuple[int, np.ndarray | ImageError]]:
        results: list[tuple[int, np.ndarray | ImageError]] = []
        with quiet_pillow():
            for position in positions:
                try:
                    results.append((position, files.decode(position)))
                except ImageError as error:
                    results.append((position, error))
        return results

    chunks = (chunk for chunk, _ in _pieces(np.arange(len(files.paths))))
    for results in in_order(decode_chunk, chunks, files.workers):
        yield from results


def listed(reasons: list[str]) -> str:
    """Some of them, and how many more there are."""
    more = f" and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
    return "; ".join(reasons[:_LISTED]) + more


def _choose(paths: tuple[Path, ...], request: DataRequest) -> tuple[Mode, tuple[int, int], tuple[str, ...]]:
    """Colour mode and size, from the options, or from the headers of files spread evenly over the folder."""
    notes: list[str] = []
    asked: dict[str, Mode] = {"grey": "L", "rgb": "RGB"}
    mode, size = asked.get(request.color), request.image_size
    if mode and size:
        return mode, size, ()
    headers = _headers(paths)
    if mode is None:
        mode = "L" if headers and all(grey for grey, _ in headers) else "RGB"
    if size is None:
        sizes = {found for _, found in headers}
        own = next(iter(sizes)) if len(sizes) == 1 else None
        if own and max(own) <= _LARGEST_OWN_SIZE:
            size = own
        else:
            size = (DEFAULT_SIZE, DEFAULT_SIZE)
            reason = "they are large" if own else "they are of several sizes"
            notes.append(
                f"The images are resized to {DEFAULT_SIZE}×{DEFAULT_SIZE}, because {reason}: --image-size sets another."
            )
    return mode, size, tuple(notes)


def _headers(paths: tuple[Path, ...]) -> list[tuple[bool, tuple[int, int]]]:
    """Of some of the files: whether it is grey, and its upright (height, width). Broken ones are left out."""
    headers = []
    step = max(1, len(paths) // _PROBED)
    for path in paths[::step]:
        try:
            with quiet_pillow(), Image.open(path, formats=tuple(FORMATS)) as image:
                # Turning the image itself would decode it.
                turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
                headers.append((image.mode in _GREY, image.size if turned else image.size[::-1]))
        except Exception:  # a broken file makes Pillow raise nearly anything, and is reported when it is decoded
            continue
    return headers
