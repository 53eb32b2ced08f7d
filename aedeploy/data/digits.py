"""The digits that come with aedeploy; NOTICE.md beside them says whose they are."""

from __future__ import annotations

import importlib.resources

import numpy as np

from aedeploy.data.idx import read_idx_images
from aedeploy.data.split import Split, split_images

#: 9,000 images to train on, 1,000 held out: those at the positions 5, 15, 25, … of MNIST's test file.
HELD_OUT = 1000


def digits() -> Split:
    """10,000 grey images: uint8 [9000, 28, 28, 1] to train on and [1000, 28, 28, 1] held out, always the same ones."""
    return split_images(every_digit(), HELD_OUT)


def every_digit() -> np.ndarray:
    """The same 10,000 images in the order of their file: uint8 [10000, 28, 28, 1]."""
    file = importlib.resources.files(__package__) / "t10k-images-idx3-ubyte.gz"
    with importlib.resources.as_file(file) as path:
        return read_idx_images(path)
