"""The data sets that --data knows by name."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np

from aedeploy.data import Split, digits
from aedeploy.data.idx import is_idx_folder, official_rule, read_idx_folder, refuse_held_out
from aedeploy.errors import MissingDependencyError, TrainingError
from aedeploy.training.data.arrays import array_source
from aedeploy.training.data.source import DataRequest, Source

#: Torchvision's names of the data sets in MNIST's format, which are also those of its folders.
_IDX_SETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}


def named_source(request: DataRequest) -> Source:
    """A data set by its name, from --data-root, from where it was downloaded before, or downloaded now.

    Raises:
        TrainingError: it is in none of these places and cannot be downloaded.
        ConfigError: its files are damaged, or --held-out is given: all of these have a fixed split.
        MissingDependencyError: torchvision is not installed.
    """
    refuse_held_out(request.held_out, request.data)
    if request.data == "digits":
        split = digits()
    elif request.data in _IDX_SETS:
        split = _idx_set(request)
    else:
        split = _cifar10(request)
    return array_source(request.data, split, request)


def _idx_set(request: DataRequest) -> Split:
    """Read without torchvision, whose import costs more than reading the files."""
    root, name = _root(request), _IDX_SETS[request.data]
    places = [root / name / "raw", *([root] if request.data_root else [])]
    for folder in places:
        if folder.is_dir() and is_idx_folder(folder):
            return read_idx_folder(folder)
    _torchvision_set(request, name)
    return read_idx_folder(places[0])


def _cifar10(request: DataRequest) -> Split:
    train, test = _torchvision_set(request, "CIFAR10")
    return Split(train=train, held_out=test, rule=official_rule("test_batch"))


def _torchvision_set(request: DataRequest, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The train and test images as torchvision keeps them, downloaded where they are not there."""
    if not importlib.util.find_spec("torchvision"):
        raise MissingDependencyError("torchvision", "train", f"The data set {request.data!r}")
    from torchvision import datasets

    root = _root(request)
    load = getattr(datasets, name)
    try:
        # What a download prints is progress, and stdout is for results.
        with contextlib.redirect_stdout(sys.stderr):
            train, test = (load(root, train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        where = f"is not in {request.data_root}" if request.data_root else "was not downloaded before"
        raise TrainingError(
            f"The data set {request.data!r} {where}, and downloading it failed ({_first_line(error)}): try again with "
            "a network, or point --data-root at a folder that has its files."
        ) from None
    return np.asarray(train.data), np.asarray(test.data)


def _root(request: DataRequest) -> Path:
    if request.data_root:
        return request.data_root
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "aedeploy" / "data"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(":")
