"""What images show, where their data says so. Nothing fails for want of it: labels are for pictures and tables."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aedeploy.data.cifar import read_cifar_labels
from aedeploy.data.digits import HELD_OUT
from aedeploy.data.idx import idx_label_file, read_idx_labels
from aedeploy.data.named import named_folder
from aedeploy.data.npz import read_npz_labels
from aedeploy.data.split import held_out_indices
from aedeploy.errors import ConfigError

_DIGITS = tuple("0123456789")

#: The names of classes by their numbers, of the data sets that have a name.
CLASSES = {
    "digits": _DIGITS,
    "mnist": _DIGITS,
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}  # fmt: skip

# Not more digits: int() refuses thousands of them.
_NUMBER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True)
class Labels:
    """``names``: of each image in its place, None for one that has none; or None where there are no labels at all.
    ``note``: a sentence for a person on labels that are there and cannot be used.
    """

    names: tuple[str | None, ...] | None = None
    note: str | None = None

    def at(self, positions: np.ndarray) -> Labels:
        """Those of the images at ``positions``, integers [n]."""
        return self if self.names is None else Labels(names=tuple(self.names[at] for at in positions))


def digit_labels() -> np.ndarray:
    """What the embedded digits are, in the order of their file: uint8 [10000], 0 to 9."""
    file = importlib.resources.files(__package__) / "t10k-labels-idx1-ubyte.gz"
    with importlib.resources.as_file(file) as path:
        return read_idx_labels(path)


def named_labels(name: str, asked_root: Path | None, images: int) -> Labels:
    """Of the ``images`` test images of a data set by its name, as :func:`aedeploy.data.named.read_named` finds it."""
    if name == "digits":
        return digits_at(held_out_indices(len(digit_labels()), HELD_OUT))
    folder = named_folder(name, asked_root)
    if folder is None:
        return Labels()
    if name == "cifar10":
        return _labels(lambda: read_cifar_labels(folder), "CIFAR-10's test_batch", images, CLASSES[name])
    return idx_labels(folder, images, CLASSES[name])


def digits_at(positions: np.ndarray) -> Labels:
    """Of the embedded digits at ``positions`` of their file, integers [n]."""
    return Labels(names=tuple(map(str, digit_labels()[positions])))


def idx_labels(folder: Path, images: int, classes: tuple[str, ...] | None = None) -> Labels:
    """Of the ``images`` test images in a folder of idx files or, where it has but one file, of all in their order.

    ``classes`` are the names of the numbers; None: the numbers themselves.
    """
    file = idx_label_file(folder)
    return Labels() if file is None else _labels(lambda: read_idx_labels(file), file.name, images, classes)


def npz_labels(path: Path, images: int) -> Labels:
    """The array ``labels``, integers or strings [N], beside the ``images`` images of an .npz file; "" is no label."""
    return _labels(lambda: read_npz_labels(path), f"the array 'labels' of {path.name}", images, None)


def in_order(names: Iterable[str], classes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Each name once: in the order of ``classes`` where these have all, numbers by value, others by the alphabet."""
    found = set(names)
    if found <= set(classes):
        return tuple(name for name in classes if name in found)
    if all(_NUMBER.fullmatch(name) for name in found):
        return tuple(sorted(found, key=lambda name: (int(name), name)))
    return tuple(sorted(found, key=lambda name: (name.casefold(), name)))


def _labels(read: Callable[[], np.ndarray | None], where: str, images: int, classes: tuple[str, ...] | None) -> Labels:
    """What ``read`` gives, as names; a note where it cannot be read or does not fit."""
    try:
        values = read()
        if values is None:
            return Labels()
        if values.ndim != 1 or len(values) != images:
            shape = " × ".join(map(str, values.shape)) or "no list"
            raise ConfigError(f"{where} has {shape} for {images} images: one is needed for each.")
        names = tuple(_names(values, where, classes))
    except ConfigError as error:
        return Labels(note=f"The labels are left out: {error}")
    except OSError as error:
        return Labels(note=f"The labels are left out: {where} cannot be read ({error.strerror or error}).")
    return Labels(names=names if any(names) else None)


def _names(values: np.ndarray, where: str, classes: tuple[str, ...] | None) -> list[str | None]:
    if values.dtype.kind in "US":
        try:
            texts = [value if isinstance(value, str) else value.decode() for value in values.tolist()]
            "".join(texts).encode()  # half a surrogate pair would only fail where it is written out
        except (ValueError, SystemError):  # SystemError: of numbers that are no characters
            raise ConfigError(f"{where} holds bytes that are no text: save it as whole numbers or strings.") from None
        return [text or None for text in texts]
    if values.dtype.kind not in "iu":
        raise ConfigError(f"{where} is {values.dtype}: save it as whole numbers or strings.")
    if classes is None:
        return [str(value) for value in values.tolist()]
    if values.min() < 0 or values.max() >= len(classes):
        found = f"{values.min()} to {values.max()}"
        raise ConfigError(f"{where} holds numbers from {found}, and the classes are 0 to {len(classes) - 1}.")
    return [classes[value] for value in values.tolist()]
