"""From the name or the path of --data to a source."""

from __future__ import annotations

import os
from pathlib import Path

from aedeploy.data import DATA_SETS
from aedeploy.data.idx import is_idx_folder, read_idx_folder
from aedeploy.data.npz import read_npz_images
from aedeploy.data.split import split_images
from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.training.data.arrays import array_source
from aedeploy.training.data.folder import folder_source
from aedeploy.training.data.named import named_source
from aedeploy.training.data.patches import PatchConfig, patch_source
from aedeploy.training.data.source import COLORS, DataRequest, Source, data_name


def open_source(request: DataRequest, patches: PatchConfig | None = None) -> Source:
    """Find the images that were asked for; with ``patches``, those to cut patches of.

    Raises:
        UnknownNameError: it is neither a known name nor a path.
        ConfigError: an option cannot work, or a file does not hold images.
        NothingToDoError: a folder has no images.
        TrainingError: it cannot be downloaded.
    """
    if request.color not in COLORS:
        raise UnknownNameError("colour mode", request.color, COLORS)
    if request.image_size and min(request.image_size) < 1:
        raise ConfigError(f"--image-size {'x'.join(map(str, request.image_size))}: a size is at least 1 pixel.")
    if request.workers is not None and request.workers < 1:
        raise ConfigError(f"--workers {request.workers}: at least 1 must decode the images.")
    if patches is not None:
        return patch_source(patches, request)
    if request.exclude and not Path(request.data).is_dir():
        raise ConfigError(f"--exclude leaves out files of a folder, and --data {request.data} is none: leave it out.")
    if request.data in DATA_SETS:
        return named_source(request)
    path = Path(request.data)
    name = data_name(request.data)
    if path.is_dir():
        if is_idx_folder(path):
            return array_source(name, read_idx_folder(path, request.held_out), request)
        return folder_source(name, path, request)
    if path.is_file() and path.suffix.lower() == ".npz":
        return array_source(name, split_images(read_npz_images(path), request.held_out), request)
    if path.is_file():
        raise ConfigError(
            f"--data {path}: training takes a folder of images, a folder of idx files or an .npz, not one file."
        )
    if os.sep in request.data or path.suffix:
        raise ConfigError(f"--data {path}: there is no such file or folder; known by name: {', '.join(DATA_SETS)}.")
    raise UnknownNameError("data set or folder", request.data, DATA_SETS)
