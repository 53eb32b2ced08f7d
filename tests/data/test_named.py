"""Data sets by name, from files that are there; CIFAR-10's pickles without what a pickle may do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aedeploy.data.cifar import is_cifar_folder, read_cifar_folder
from aedeploy.data.named import data_root, read_named
from aedeploy.errors import ConfigError


class Harmful:
    """Whoever unpickles it naively has a folder more."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.mkdir, (self.path,)


def write_cifar(folder: Path, images: int = 2) -> dict[str, np.ndarray]:
    """Six files as CIFAR-10's are: rows of 3072 bytes, all red ones first."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    written = {}
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        written[name] = random.integers(0, 256, (images, 3072), dtype=np.uint8)
        content = {"batch_label": name, "labels": [0] * images, "data": written[name]}
        (folder / name).write_bytes(pickle.dumps(content))
    return written


def test_cifar_is_read_as_its_makers_wrote_it(tmp_path: Path) -> None:
    written = write_cifar(tmp_path / "cifar-10-batches-py")
    split = read_named("cifar10", tmp_path)
    assert split is not None
    assert split.train.shape == (10, 32, 32, 3)
    np.testing.assert_array_equal(split.held_out[1, :, :, 2].ravel(), written["test_batch"][1, 2048:])
    np.testing.assert_array_equal(split.train[8, 5, 7], written["data_batch_5"][0, [167, 1191, 2215]])
    assert "own test set" in split.rule


def test_cifar_is_what_torchvision_makes_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    write_cifar(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a"]}))
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    split = read_named("cifar10", tmp_path)
    assert split is not None
    np.testing.assert_array_equal(split.train, CIFAR10(tmp_path, train=True).data)
    np.testing.assert_array_equal(split.held_out, CIFAR10(tmp_path, train=False).data)


def test_a_pickle_that_runs_something_is_refused_and_does_not(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar")
    (tmp_path / "cifar" / "test_batch").write_bytes(pickle.dumps({"data": Harmful(tmp_path / "made")}))
    with pytest.raises(ConfigError, match=r"test_batch is not a file of CIFAR-10.* calls pathlib"):
        read_cifar_folder(tmp_path / "cifar", "own")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps({"labels": [1]}),
        pickle.dumps([1, 2]),
        pickle.dumps({"data": np.zeros((2, 7), np.uint8)}),
        pickle.dumps({"data": np.zeros((2, 3072))}),
    ],
    ids=["empty", "text", "no data", "a list", "wrong size", "floats"],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    write_cifar(tmp_path / "cifar")
    (tmp_path / "cifar" / "data_batch_3").write_bytes(content)
    with pytest.raises(ConfigError, match="data_batch_3 is not a file of CIFAR-10"):
        read_cifar_folder(tmp_path / "cifar", "own")


def test_a_folder_that_lacks_a_file_is_not_cifar(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py")
    assert is_cifar_folder(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").unlink()
    assert not is_cifar_folder(tmp_path / "cifar-10-batches-py")
    assert read_named("cifar10", tmp_path) is None


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_what_is_not_there_is_not_downloaded(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert read_named(name, None) is None
    assert read_named(name, tmp_path / "elsewhere") is None
    assert list(tmp_path.iterdir()) == []


def test_the_digits_are_always_there() -> None:
    split = read_named("digits", None)
    assert split is not None
    assert (len(split.train), len(split.held_out)) == (9000, 1000)


def test_the_root_is_the_one_asked_for_or_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root(None) == tmp_path / "aedeploy" / "data"
    assert data_root(Path("mine")) == Path("mine")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root(None) == tmp_path / ".cache" / "aedeploy" / "data"
