from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aedeploy.data.idx import is_idx_folder, read_idx_folder, read_idx_images
from aedeploy.errors import ConfigError


def idx_bytes(images: np.ndarray) -> bytes:
    """uint8 [N, H, W] as the content of an idx3 file."""
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in images.shape)
    return header + images.tobytes()


def some_images(count: int = 6, height: int = 4, width: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width), dtype=np.uint8)


@pytest.mark.parametrize("zipped", [False, True])
def test_reads_plain_and_gzipped_whatever_the_name_says(tmp_path: Path, zipped: bool) -> None:
    images = some_images()
    content = idx_bytes(images)
    (tmp_path / "file").write_bytes(gzip.compress(content) if zipped else content)
    np.testing.assert_array_equal(read_idx_images(tmp_path / "file"), images[..., np.newaxis])


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.data())
def test_a_file_cut_anywhere_is_refused(count: int, height: int, width: int, data: st.DataObject) -> None:
    import tempfile

    content = idx_bytes(some_images(count, height, width))
    cut = data.draw(st.integers(0, len(content) - 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train-images-idx3-ubyte"
        path.write_bytes(content[:cut])
        with pytest.raises(ConfigError, match="train-images-idx3-ubyte"):
            read_idx_images(path)


def test_refuses_what_is_too_long_a_damaged_gzip_labels_and_other_files(tmp_path: Path) -> None:
    content = idx_bytes(some_images())
    cases = {
        "long": (content + b"\0", "holds more than 120"),
        "zip": (gzip.compress(content)[:-20], "damaged gzip"),
        "labels": (bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 2]), r"shape \[2\], not images"),
        "empty": (idx_bytes(some_images(0)), "not images"),
        "vast": (bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"abc", r"promises \[4294967295, .* and holds 3: it is damaged"),
        "vast zip": (gzip.compress(bytes([0, 0, 8, 3]) + b"\xff" * 12), "holds 0: it is damaged"),
        "vast and empty": (bytes([0, 0, 8, 3]) + bytes(4) + b"\xff" * 8, "not images"),
        "many dimensions": (bytes([0, 0, 8, 255]) + b"\0\0\0\1" * 255 + b"a", "not images"),
        "floats": (bytes([0, 0, 0x0D, 3]) + content[4:], "not an idx file of bytes"),
        "text": (b"hello world", "not an idx file"),
    }
    for name, (broken, message) in cases.items():
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(ConfigError, match=message):
            read_idx_images(tmp_path / name)


def test_a_train_and_a_test_file_are_the_split(tmp_path: Path) -> None:
    train, test = some_images(6), some_images(3, seed=1)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(train)))
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(idx_bytes(test))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"not looked at")
    split = read_idx_folder(tmp_path)
    np.testing.assert_array_equal(split.train[..., 0], train)
    np.testing.assert_array_equal(split.held_out[..., 0], test)
    assert "t10k-images.idx3-ubyte" in split.rule
    with pytest.raises(ConfigError, match="fixed split"):
        read_idx_folder(tmp_path, held_out=0.5)


def test_a_single_file_is_split_evenly(tmp_path: Path) -> None:
    images = some_images(10)
    (tmp_path / "my-images-idx3-ubyte").write_bytes(idx_bytes(images))
    split = read_idx_folder(tmp_path, held_out=2)
    np.testing.assert_array_equal(split.held_out[..., 0], images[[2, 7]])
    assert len(split.train) == 8


def test_a_file_that_is_there_plain_and_gzipped_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "images-idx3-ubyte").write_bytes(idx_bytes(some_images(10)))
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(b"a download that broke off")
    assert len(read_idx_folder(tmp_path).train) == 9


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(some_images(4, 4, 4)))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(some_images(4, 5, 5)))
    with pytest.raises(ConfigError, match="different sizes"):
        read_idx_folder(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").rename(tmp_path / "other-images-idx3-ubyte")
    with pytest.raises(ConfigError, match="expected train-images-idx3-ubyte and"):
        read_idx_folder(tmp_path)


def test_a_folder_of_pictures_is_no_idx_folder(tmp_path: Path) -> None:
    (tmp_path / "images.png").touch()
    (tmp_path / "train-labels-idx1-ubyte").touch()
    assert not is_idx_folder(tmp_path)


def test_mnist_itself(shared_data: Path) -> None:
    split = read_idx_folder(shared_data / "mnist")
    assert split.train.shape == (60000, 28, 28, 1)
    assert split.held_out.shape == (10000, 28, 28, 1)
    assert split.train.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert split.train.std() / 255 == pytest.approx(0.3081, abs=5e-5)
