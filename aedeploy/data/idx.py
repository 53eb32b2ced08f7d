"""MNIST's file format: two zero bytes, the type of the values, the number of dimensions, the sizes, the values."""

from __future__ import annotations

import gzip
import re
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aedeploy.data.split import Split, split_images
from aedeploy.errors import ConfigError

_UINT8 = 0x08
_GZIP = b"\x1f\x8b"
_BLOCK = 2**20
# train-images-idx3-ubyte, t10k-images.idx3-ubyte.gz, images-idx3-ubyte, …
_IMAGES = re.compile(r"(?P<part>.*?)[-_.]?images[-_.]idx3[-_.]ubyte(\.gz)?")
_LABELS = re.compile(r"(?P<part>.*?)[-_.]?labels[-_.]idx1[-_.]ubyte(\.gz)?")
_TRAIN, _TEST = ("train",), ("t10k", "test")


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder holds images in idx files, by their names."""
    return bool(_files(folder, _IMAGES))


def read_idx_folder(folder: Path, held_out: float | None = None) -> Split:
    """The images of a folder of idx files, gzipped or not.

    A train and a t10k file make the split of their makers; a single file is split evenly.

    Raises:
        ConfigError: a file is damaged, or which file is which cannot be told.
    """
    files = _files(folder, _IMAGES)
    train, test = _part(files, _TRAIN), _part(files, _TEST)
    if train and test:
        refuse_held_out(held_out, folder.name)
        split = Split(train=read_idx_images(train), held_out=read_idx_images(test), rule=official_rule(test.name))
        if split.train.shape[1:] != split.held_out.shape[1:]:
            raise ConfigError(
                f"{train.name} and {test.name} hold images of different sizes: they do not belong together."
            )
        return split
    if len(files) != 1:
        names = ", ".join(path.name for path in files.values())
        raise ConfigError(
            f"{folder} holds {names}: expected train-images-idx3-ubyte and t10k-images-idx3-ubyte, or one file."
        )
    return split_images(read_idx_images(next(iter(files.values()))), held_out)


def idx_label_file(folder: Path) -> Path | None:
    """The file of labels that goes by the name of the test images of a folder or, where it holds but one file of
    images, of that one; None: there is no such file.
    """
    images, labels = _files(folder, _IMAGES), _files(folder, _LABELS)
    return _part(labels, tuple(images) if len(images) == 1 else tuple(part for part in images if part in _TEST))


def official_rule(test_set: str) -> str:
    """The split of data that has a test set, as a manifest records it."""
    return f"the data's own test set is held out ({test_set})"


def refuse_held_out(held_out: float | None, name: str) -> None:
    """Raise a ConfigError when ``--held-out`` is given for data that has a split of its own."""
    if held_out is not None:
        raise ConfigError(f"--held-out {held_out:g}: {name} has a fixed split of its own: leave the option out.")


def read_idx_images(path: Path) -> np.ndarray:
    """Grey images of an idx3 file of bytes, gzipped or not: uint8 [N, H, W, 1].

    Raises:
        ConfigError: it is no such file, or it is damaged.
    """
    return _read_file(path, 3, "images [N, H, W]")[..., np.newaxis]


def read_idx_labels(path: Path) -> np.ndarray:
    """Labels of an idx1 file of bytes, gzipped or not: uint8 [N].

    Raises:
        ConfigError: it is no such file, or it is damaged.
    """
    return _read_file(path, 1, "labels [N]")


def _read_file(path: Path, dimensions: int, wanted: str) -> np.ndarray:
    with open(path, "rb") as stream:
        zipped = stream.read(2) == _GZIP
        stream.seek(0)
        try:
            return _read(gzip.GzipFile(fileobj=stream) if zipped else stream, path, dimensions, wanted)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise ConfigError(f"{path.name} is a damaged gzip file: get it again.") from None


def _read(stream: BinaryIO | gzip.GzipFile, path: Path, dimensions: int, wanted: str) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _UINT8:
        raise ConfigError(f"{path.name} is not an idx file of bytes: its first four bytes are {magic.hex(' ')}.")
    sizes = stream.read(4 * magic[3])
    shape = tuple(int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4))
    if len(sizes) < 4 * magic[3]:
        raise ConfigError(f"{path.name} ends in the middle of its header: it is damaged.")
    if len(shape) != dimensions or 0 in shape:
        raise ConfigError(f"{path.name} holds an array of shape {list(shape)}, not {wanted}: name another.")
    # One byte more than promised, so that a file that is too long is noticed without being read to its end.
    values = _at_most(stream, prod(shape) + 1)
    if len(values) != prod(shape):
        found = f"more than {prod(shape)}" if len(values) > prod(shape) else len(values)
        raise ConfigError(f"{path.name} promises {list(shape)} values in its header and holds {found}: it is damaged.")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _at_most(stream: BinaryIO | gzip.GzipFile, count: int) -> bytearray:
    """The next ``count`` bytes, or what there is: piece by piece, since a damaged header may promise anything."""
    values = bytearray()
    while block := stream.read(min(_BLOCK, count - len(values))):
        values += block
    return values


def _files(folder: Path, names: re.Pattern[str]) -> dict[str, Path]:
    """By what their names begin with; a file that is there gzipped and not is taken as it is not."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), reverse=True):
        match = names.fullmatch(path.name)
        if match and path.is_file():
            files[match["part"].lower()] = path
    return files


def _part(files: dict[str, Path], parts: tuple[str, ...]) -> Path | None:
    return next((files[part] for part in files if part in parts), None)
