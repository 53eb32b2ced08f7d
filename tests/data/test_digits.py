from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from aedeploy.data import digits
from aedeploy.data.idx import read_idx_images


def test_nine_thousand_to_train_on_and_a_thousand_held_out() -> None:
    split = digits()
    assert split.train.shape == (9000, 28, 28, 1)
    assert split.held_out.shape == (1000, 28, 28, 1)
    assert split.train.dtype == split.held_out.dtype == np.uint8


def test_the_rule_of_the_split_is_the_one_it_states() -> None:
    package = Path(__file__).parents[2] / "aedeploy" / "data"
    every = read_idx_images(package / "t10k-images-idx3-ubyte.gz")
    split = digits()
    np.testing.assert_array_equal(split.held_out, every[5::10])
    np.testing.assert_array_equal(split.train, np.delete(every, np.s_[5::10], axis=0))
    assert "floor((2i + 1) * 10000 / 2000)" in split.rule


def test_the_embedded_file_is_mnists_own() -> None:
    package = Path(__file__).parents[2] / "aedeploy" / "data"
    digest = hashlib.md5((package / "t10k-images-idx3-ubyte.gz").read_bytes(), usedforsecurity=False).hexdigest()
    assert digest == "9fb629c4189551a2d022fa330f9573f3"  # as published with the data set
    assert "CC BY-SA 3.0" in (package / "NOTICE.md").read_text()
