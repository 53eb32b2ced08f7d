from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from aedeploy.data.npz import read_npz_images
from aedeploy.errors import ConfigError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def test_the_only_array_or_the_one_called_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", anything=IMAGES)
    np.savez_compressed(tmp_path / "two.npz", images=IMAGES, labels=np.zeros(2))
    for name in ("one", "two"):
        np.testing.assert_array_equal(read_npz_images(tmp_path / f"{name}.npz"), IMAGES[..., np.newaxis])


def test_colour_keeps_its_channels(tmp_path: Path) -> None:
    colour = np.zeros((2, 5, 6, 3), dtype=np.uint8)
    np.savez(tmp_path / "colour.npz", images=colour)
    assert read_npz_images(tmp_path / "colour.npz").shape == (2, 5, 6, 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES / 255.0}, "is float64, and its range is not guessed: save it as uint8"),
        ({"images": IMAGES.astype(np.int64)}, "is int64"),
        ({"images": np.zeros((2, 3, 8, 8), np.uint8)}, r"shape \[2, 3, 8, 8\]: images are"),
        ({"images": np.zeros((2, 8, 8, 4), np.uint8)}, "with 1 or 3 channels last"),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "with 1 or 3 channels last"),
        ({"a": IMAGES, "b": IMAGES}, "holds the arrays a, b: name the one to train on 'images'"),
        ({"images": np.array([{"a": 1}])}, "cannot be read"),
        ({}, "holds the arrays none"),
    ],
)
def test_what_is_not_images_is_refused_with_the_remedy(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "file.npz", **arrays)
    with pytest.raises(ConfigError, match=message):
        read_npz_images(tmp_path / "file.npz")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", images=np.random.default_rng(0).integers(0, 256, (9, 9, 9), np.uint8))
    whole = (tmp_path / "whole.npz").read_bytes()
    altered = whole[:200] + bytes(byte ^ 0xFF for byte in whole[200:260]) + whole[260:]
    for name, content in {"text": b"no zip", "cut": whole[:-30], "altered": altered, "empty": b""}.items():
        (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(ConfigError, match=f"{name}.npz cannot be read"):
            read_npz_images(tmp_path / f"{name}.npz")
    for name, shape in {"vast": (2**50, 8, 8), "overflowing": (2**62, 2**62, 2**62)}.items():
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w") as archive, archive.open("images.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
        with pytest.raises(ConfigError, match=rf"{name}\.npz cannot be read as a NumPy archive \([^\n]+\): save it"):
            read_npz_images(tmp_path / f"{name}.npz")
    np.save(tmp_path / "single.npy", IMAGES)
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    with pytest.raises(ConfigError, match="single array"):
        read_npz_images(tmp_path / "single.npz")
