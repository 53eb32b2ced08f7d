"""CIFAR-10 as its makers distribute it for Python: pickles, of which nothing but arrays is let through."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.data.split import Split
from aedeploy.errors import ConfigError

#: What the archive unpacks to.
FOLDER = "cifar-10-batches-py"

_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
_SHAPE = (3, 32, 32)
# A pickle may name any function of any module and have it called: these are all that an array needs.
_RECONSTRUCT = np.ndarray(0).__reduce__()[0]
_ALLOWED = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def is_cifar_folder(folder: Path) -> bool:
    """Whether all files of images are there, by their names."""
    return all((folder / name).is_file() for name in (*_TRAIN, _TEST))


def read_cifar_folder(folder: Path, rule: str) -> Split:
    """The 50,000 training and 10,000 test images, uint8 [N, 32, 32, 3]; ``rule`` names the split.

    Raises:
        ConfigError: a file is damaged, or is not what its name says.
    """
    train = np.concatenate([_read(folder / name, _pixels) for name in _TRAIN])
    return Split(train=train, held_out=_read(folder / _TEST, _pixels), rule=rule)


def read_cifar_labels(folder: Path) -> np.ndarray:
    """The numbers of the test images' classes: integers [10000].

    Raises:
        ConfigError: the file is damaged, or is not what its name says.
    """
    return _read(folder / _TEST, _labels)


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return _ALLOWED[module, name]


def _read(path: Path, taken: Callable[[Any], np.ndarray]) -> np.ndarray:
    try:
        with open(path, "rb") as stream:
            # Written by Python 2, whose strings are bytes.
            return taken(_ArraysOnly(stream, encoding="latin1").load())
    except OSError:
        raise
    except Exception as error:  # a damaged pickle makes the reading of it raise nearly anything
        raise ConfigError(f"{path.name} is not a file of CIFAR-10's Python version ({error}): get it again.") from None


def _pixels(content: Any) -> np.ndarray:
    pixels: np.ndarray = content["data"].astype(np.uint8, casting="safe")
    return np.ascontiguousarray(pixels.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1))


def _labels(content: Any) -> np.ndarray:
    labels = np.array(content["labels"])
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError("its labels are no list of whole numbers")
    return labels
