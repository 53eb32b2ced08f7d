"""Image outputs: a file an input, in a tree that mirrors the input's."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from aedeploy.files import sync_file
from aedeploy.images.geometry import resized
from aedeploy.images.write import write_png
from aedeploy.jobs.chunk import Chunk, finite_rows
from aedeploy.jobs.outputs import image_output
from aedeploy.jobs.spec import Failure, Settings
from aedeploy.runtime.codec import pixels_of

#: Images of one line of the ledger, about: each is a file of its own, so that nothing is gained by more.
SHARD_IMAGES = 256

# A disk that is asked for many at once does them in one go: 256 files took 1.0 s one by one, and 0.04 s so.
_SYNCS_AT_ONCE = 16

# What is wrong with one name, and not with the disk or the folder.
_OF_THE_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST}


def write_images(settings: Settings, chunk: Chunk) -> None:
    """Write the chunk's ``image``, as a graph gives it, to the outputs of its inputs, and let the pixels go.

    They are on the disk for sure only after :func:`sync_images`: a sync for each would take longer than all the rest.

    Raises:
        OSError: the disk is full, or the folder cannot be written; what is written is whole.
    """
    chunk.keep(finite_rows(chunk.arrays["image"]), "the model gave NaN or infinity")
    images, sizes = pixels_of(chunk.arrays["image"]), chunk.arrays.get("sizes")
    written = []
    for row, source in enumerate(chunk.ok):
        pixels = images[row]
        if sizes is not None and settings.size == "original":
            pixels = resized(pixels, (int(sizes[row, 0]), int(sizes[row, 1])))
        try:
            _write(Path(settings.output, image_output(source.path, settings.names)), pixels)
            written.append(source)
        except OSError as error:
            if error.errno not in _OF_THE_NAME:
                raise
            chunk.failures.append(Failure(path=source.path, reason=f"its output cannot be written: {error.strerror}"))
    chunk.ok, chunk.arrays = written, {}


def sync_images(settings: Settings, chunks: Sequence[Chunk]) -> None:
    """Return when all images of the chunks are on the disk.

    Raises:
        OSError: one is not.
    """
    files = [Path(settings.output, image_output(source.path, settings.names)) for c in chunks for source in c.ok]
    with ThreadPoolExecutor(_SYNCS_AT_ONCE) as threads:
        list(threads.map(sync_file, files))


def _write(path: Path, pixels: np.ndarray) -> None:
    try:
        write_png(path, pixels, sync=False)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, pixels, sync=False)
