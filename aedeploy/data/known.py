"""Which of the embedded digits a model was trained on, as far as the digest in its manifest says."""

from __future__ import annotations

import numpy as np

from aedeploy.data.digest import PixelDigest
from aedeploy.data.digits import HELD_OUT, every_digit
from aedeploy.data.split import held_out_indices, split_images

#: Of MNIST's training and test images, as a manifest has it. Its test images are the embedded digits.
MNIST = "5f1f3a01bd936623bb1d5eb604bf354500dbc0138fc3799ca42a31b83f443541"


def digits_trained_on(digest: str) -> np.ndarray | None:
    """Which of the digits a model was trained on whose data has this digest, bool [10000] in the order of their file:
    none of them of MNIST, all but the held-out ones of the digits themselves. None: of other data; nothing is known.
    """
    every = every_digit()
    if digest == MNIST:
        return np.zeros(len(every), dtype=bool)
    split = split_images(every, HELD_OUT)
    of_digits = PixelDigest((1, *every.shape[1:3]))
    of_digits.update(split.train)
    of_digits.update(split.held_out)
    if digest != of_digits.hexdigest():
        return None
    trained_on = np.ones(len(every), dtype=bool)
    trained_on[held_out_indices(len(every), HELD_OUT)] = False
    return trained_on
