"""The data sets that --data knows by name, downloaded where they are not there."""

from __future__ import annotations

import contextlib
import importlib.util
import sys

from aedeploy.data.idx import refuse_held_out
from aedeploy.data.named import TORCHVISION_NAMES, data_root, read_named
from aedeploy.errors import MissingDependencyError, TrainingError
from aedeploy.training.data.arrays import array_source
from aedeploy.training.data.source import DataRequest, Source


def named_source(request: DataRequest) -> Source:
    """A data set by its name, from --data-root, from where it was downloaded before, or downloaded now.

    Raises:
        TrainingError: it is in none of these places and cannot be downloaded.
        ConfigError: its files are damaged, or --held-out is given: all of these have a fixed split.
        MissingDependencyError: torchvision is not installed.
    """
    refuse_held_out(request.held_out, request.data)
    split = read_named(request.data, request.data_root)
    if split is None:
        _download(request)
        split = read_named(request.data, request.data_root)
    if split is None:
        raise TrainingError(
            f"The data set {request.data!r} was downloaded, and its files are not where they should be."
        )
    return array_source(request.data, split, request)


def _download(request: DataRequest) -> None:
    """Have torchvision download the data set, and check what it got."""
    if not importlib.util.find_spec("torchvision"):
        raise MissingDependencyError("torchvision", "train", f"The data set {request.data!r}")
    from torchvision import datasets

    load = getattr(datasets, TORCHVISION_NAMES[request.data])
    try:
        # What a download prints is progress, and stdout is for results.
        with contextlib.redirect_stdout(sys.stderr):
            load(data_root(request.data_root), download=True)
    except (OSError, RuntimeError) as error:
        where = f"is not in {request.data_root}" if request.data_root else "was not downloaded before"
        raise TrainingError(
            f"The data set {request.data!r} {where}, and downloading it failed ({_first_line(error)}): try again with "
            "a network, or point --data-root at a folder that has its files."
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(":")
