"""The data sets that --data knows by name, where their files are already; nothing is downloaded here."""

from __future__ import annotations

import os
from pathlib import Path

from aedeploy.data.cifar import FOLDER as CIFAR_FOLDER
from aedeploy.data.cifar import is_cifar_folder, read_cifar_folder
from aedeploy.data.digits import digits
from aedeploy.data.idx import is_idx_folder, official_rule, read_idx_folder
from aedeploy.data.split import Split

#: Torchvision's names of the data sets, of which those in MNIST's format are also those of their folders.
TORCHVISION_NAMES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10"}


def data_root(asked: Path | None) -> Path:
    """Where data sets are, and are downloaded to: ``asked``, or a folder of the user's cache."""
    if asked:
        return asked
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "aedeploy" / "data"


def read_named(name: str, asked_root: Path | None) -> Split | None:
    """A data set by its name, read without torchvision, whose import costs more; None where its files are not.

    ``asked_root`` is in torchvision's layout, or holds just the idx files.

    Raises:
        ConfigError: its files are damaged.
    """
    if name == "digits":
        return digits()
    folder = named_folder(name, asked_root)
    if folder is None:
        return None
    return read_cifar_folder(folder, official_rule("test_batch")) if name == "cifar10" else read_idx_folder(folder)


def named_folder(name: str, asked_root: Path | None) -> Path | None:
    """Where the files of a data set other than the embedded digits are; None: nowhere that is looked into."""
    root = data_root(asked_root)
    if name == "cifar10":
        folder = root / CIFAR_FOLDER
        return folder if is_cifar_folder(folder) else None
    for folder in (root / TORCHVISION_NAMES[name] / "raw", *([root] if asked_root else [])):
        if folder.is_dir() and is_idx_folder(folder):
            return folder
    return None
