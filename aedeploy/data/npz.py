"""Images in a NumPy archive, and what they show."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from aedeploy.errors import ConfigError

# What zipfile and numpy raise for a damaged archive. MemoryError: a header that promises more than any machine has.
_BROKEN = (
    OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, OverflowError, zipfile.BadZipFile, zlib.error
)  # fmt: skip


def read_npz_images(path: Path) -> np.ndarray:
    """The array ``images`` of an .npz file, or its only array: uint8 [N, H, W, C] with C = 1 or 3.

    Raises:
        ConfigError: the file is damaged, or the array is not uint8 [N, H, W] or [N, H, W, C]. No range is ever guessed.
    """
    try:
        # Opened here: numpy leaves a file open whose archive is broken.
        with open(path, "rb") as stream:
            name, images = _read(np.load(stream, allow_pickle=False), path)
    except _BROKEN as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{path.name} cannot be read as a NumPy archive ({reason}): save it again with numpy.savez."
        ) from None
    if images.dtype != np.uint8:
        raise ConfigError(
            f"The array {name!r} of {path.name} is {images.dtype}, and its range is not guessed: "
            "save it as uint8, 0 for black to 255 for white."
        )
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
        raise ConfigError(
            f"The array {name!r} of {path.name} has the shape {list(images.shape)}: "
            "images are [N, H, W] or [N, H, W, C] with 1 or 3 channels last."
        )
    return images


def read_npz_labels(path: Path) -> np.ndarray | None:
    """The array ``labels`` beside the images of an .npz file, whatever it holds; None: there is no such array.

    Raises:
        ConfigError: the file or the array is damaged, or it could only be read by running what it says.
    """
    try:
        with open(path, "rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            # Alone, it is the images.
            if not isinstance(archive, np.lib.npyio.NpzFile) or "labels" not in archive.files or len(archive.files) < 2:
                return None
            return np.asarray(archive["labels"])
    except _BROKEN as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"the array 'labels' of {path.name} cannot be read ({reason}): save it as whole numbers or strings."
        ) from None


def _read(archive: object, path: Path) -> tuple[str, np.ndarray]:
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ConfigError(f"{path.name} holds a single array, not an archive: save it with numpy.savez.")
    name = _array_name(archive.files, path)
    return name, archive[name]


def _array_name(names: list[str], path: Path) -> str:
    if "images" in names:
        return "images"
    if len(names) != 1:
        raise ConfigError(
            f"{path.name} holds the arrays {', '.join(names) or 'none'}: name the one to train on 'images'."
        )
    return names[0]
