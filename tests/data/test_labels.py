"""Labels in their places; and what is wrong with labels is a note, never an error."""

from __future__ import annotations

import gzip
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from aedeploy.data.digits import digits, every_digit
from aedeploy.data.known import MNIST, digits_trained_on
from aedeploy.data.labels import (
    CLASSES,
    Labels,
    digit_labels,
    digits_at,
    idx_labels,
    in_order,
    named_labels,
    npz_labels,
)
from aedeploy.data.named import read_named

IMAGES = np.zeros((3, 4, 5), dtype=np.uint8)


def idx(values: np.ndarray) -> bytes:
    """The content of an idx file of bytes."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return header + values.astype(np.uint8).tobytes()


def some(count: int) -> np.ndarray:
    """So many images of an idx file."""
    return np.zeros((count, 4, 5), dtype=np.uint8)


def write_cifar(folder: Path, content: dict[str, object]) -> None:
    """CIFAR-10's files, with ``content`` in that of the test images beside two of these."""
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        whole = {"data": np.zeros((2, 3072), np.uint8), **(content if name == "test_batch" else {"labels": [0, 0]})}
        (folder / name).write_bytes(pickle.dumps(whole))


class Harmful:
    """Whoever unpickles it naively has a folder more."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (self.path,)


def test_the_digits_are_what_they_are_known_to_be() -> None:
    labels = digit_labels()
    assert (labels.shape, labels.dtype) == ((10_000,), np.uint8)
    # The beginning and the counts of MNIST's test set, as they are published.
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert digits_at(np.array([0, 9, 3])).names == ("7", "9", "0")
    # Ink by pixel: ones have the least, zeros the most.
    ink = [every_digit()[labels == digit].mean() for digit in range(10)]
    assert (int(np.argmin(ink)), int(np.argmax(ink))) == (1, 0)


def test_those_of_the_digits_by_name_are_of_the_held_out_ones() -> None:
    found = named_labels("digits", None, 1000)
    assert found.names == tuple(str(label) for label in digit_labels()[5::10])
    np.testing.assert_array_equal(digits().held_out, every_digit()[5::10])


def test_labels_go_with_their_images_to_other_places() -> None:
    labels = Labels(names=("a", None, "c"))
    assert labels.at(np.array([2, 1])).names == ("c", None)
    assert Labels(note="why").at(np.array([0])) == Labels(note="why")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images-idx3-ubyte", "labels-idx1-ubyte"),
        ("train-images-idx3-ubyte", "train-labels.idx1-ubyte"),
        ("t10k-images.idx3-ubyte", "t10k-labels-idx1-ubyte"),
        ("Mine_images-idx3-ubyte", "mine_labels-idx1-ubyte"),
    ],
)
def test_labels_lie_beside_the_only_file_of_images(tmp_path: Path, images: str, labels: str, zipped: bool) -> None:
    (tmp_path / images).write_bytes(idx(some(3)))
    content = idx(np.array([11, 0, 255]))
    (tmp_path / (f"{labels}.gz" if zipped else labels)).write_bytes(gzip.compress(content) if zipped else content)
    (tmp_path / "other-labels-idx1-ubyte").write_bytes(idx(np.array([1, 2, 3])))
    assert idx_labels(tmp_path, 3) == Labels(names=("11", "0", "255"))


@pytest.mark.parametrize("test", ["t10k", "test"])
def test_beside_two_files_they_are_those_of_the_test_images(tmp_path: Path, test: str) -> None:
    for part, count in (("train", 6), (test, 3)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(some(count)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(6)))
    assert idx_labels(tmp_path, 3) == Labels()
    (tmp_path / f"{test}-labels-idx1-ubyte").write_bytes(idx(np.array([9, 8, 7])))
    assert idx_labels(tmp_path, 3).names == ("9", "8", "7")


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (idx(np.arange(2)), "labels-idx1-ubyte has 2 for 3 images: one is needed for each."),
        (idx(np.arange(4)), "labels-idx1-ubyte has 4 for 3 images"),
        (idx(np.arange(3))[:-1], "labels-idx1-ubyte promises [3] values in its header and holds 2"),
        (gzip.compress(idx(np.arange(3)), mtime=0)[:-9], "labels-idx1-ubyte is a damaged gzip file"),
        (idx(some(3)), "labels-idx1-ubyte holds an array of shape [3, 4, 5], not labels [N]"),
        (b"", "labels-idx1-ubyte is not an idx file"),
        (b"text", "labels-idx1-ubyte is not an idx file"),
    ],
    ids=["fewer", "more", "short", "damaged gzip", "images", "empty", "text"],
)
def test_label_files_that_cannot_be_used_are_a_note(tmp_path: Path, content: bytes, note: str) -> None:
    (tmp_path / "images-idx3-ubyte").write_bytes(idx(some(3)))
    (tmp_path / "labels-idx1-ubyte").write_bytes(content)
    found = idx_labels(tmp_path, 3)
    assert found.names is None
    assert found.note is not None
    assert found.note.startswith(f"The labels are left out: {note}")


def test_a_label_file_that_cannot_be_opened_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> np.ndarray:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "images-idx3-ubyte").write_bytes(idx(some(3)))
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx(np.arange(3)))
    monkeypatch.setattr("aedeploy.data.labels.read_idx_labels", refuse)
    assert idx_labels(tmp_path, 3).note == (
        "The labels are left out: labels-idx1-ubyte cannot be read (Permission denied)."
    )


def test_pieces_of_clothing_have_their_names(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(some(6)))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(some(10)))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(10)))
    names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    assert named_labels("fashion-mnist", tmp_path, 10).names == tuple(names)
    assert named_labels("mnist", tmp_path, 10).names == tuple("0123456789")
    assert idx_labels(tmp_path, 10).names == tuple("0123456789")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(1, 11)))
    note = named_labels("mnist", tmp_path, 10).note
    assert note is not None
    assert "numbers from 1 to 10, and the classes are 0 to 9" in note


def test_cifars_labels_are_in_the_order_of_its_images(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py", {"labels": [8, 3]})
    split = read_named("cifar10", tmp_path)
    assert split is not None
    assert named_labels("cifar10", tmp_path, len(split.held_out)).names == ("ship", "cat")


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        ([1], "has 1 for 2 images"),
        ([1, 10], "numbers from 1 to 10"),
        ([-1, 0], "numbers from -1 to 0"),
        ([0.5, 1], "no list of whole numbers"),
        (["cat", "dog"], "no list of whole numbers"),
        ([[0], [1, 2]], "is not a file of CIFAR-10's Python version"),
        (None, "no list of whole numbers"),
    ],
)
def test_damaged_labels_of_cifar_are_a_note_and_its_images_are_read(tmp_path: Path, labels: object, note: str) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py", {"labels": labels})
    assert read_named("cifar10", tmp_path) is not None
    found = named_labels("cifar10", tmp_path, 2)
    assert found.names is None
    assert found.note is not None
    assert note in found.note


def test_labels_that_run_something_do_not(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py", {"labels": Harmful(tmp_path / "made")})
    found = named_labels("cifar10", tmp_path, 2)
    assert found.note is not None
    assert "it calls pathlib" in found.note
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_of_what_is_not_there_there_are_none(tmp_path: Path, name: str) -> None:
    assert named_labels(name, tmp_path, 3) == Labels()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array(["b", "ä", ""]), ("b", "ä", None)),
        (np.array(["b", "ä", "c"]).astype(object).astype("U9"), ("b", "ä", "c")),
        (np.array([b"cat", "Bär".encode(), b"dog"]), ("cat", "Bär", "dog")),
        (np.array([-1, 300, 2]), ("-1", "300", "2")),
        (np.array([2, 0, 1], np.uint8), ("2", "0", "1")),
        (np.array(["", "", ""]), None),
    ],
)
def test_labels_of_an_npz_are_numbers_or_strings(tmp_path: Path, labels: np.ndarray, names: tuple[str, ...]) -> None:
    np.savez(tmp_path / "mine.npz", images=IMAGES, labels=labels)
    assert npz_labels(tmp_path / "mine.npz", 3) == Labels(names=names)


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (np.zeros(4, np.int64), "has 4 for 3 images"),
        (np.zeros((3, 1), np.int64), "has 3 × 1 for 3 images"),
        (np.array(3), "has no list for 3 images"),
        (np.zeros(3), "is float64: save it as whole numbers or strings"),
        (np.zeros(3, bool), "is bool"),
        (np.array([{"a": 1}, None, 2]), "cannot be read (Object arrays cannot be loaded"),
        (np.array([b"\xff", b"a", b"b"]), "holds bytes that are no text"),
        (np.array(["\ud800", "a", "b"]), "holds bytes that are no text"),
        (np.array([0x7FFFFFFF, 65, 66], np.uint32).view("U1"), "holds bytes that are no text"),
    ],
)
def test_labels_of_an_npz_that_cannot_be_used_are_a_note(tmp_path: Path, labels: np.ndarray, note: str) -> None:
    np.savez(tmp_path / "mine.npz", images=IMAGES, labels=labels)
    found = npz_labels(tmp_path / "mine.npz", 3)
    assert found.names is None
    assert found.note is not None
    assert found.note.startswith("The labels are left out: the array 'labels' of mine.npz")
    assert note in found.note


def test_an_array_of_labels_that_promises_more_than_any_machine_has_is_a_note(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", images=IMAGES)
    with zipfile.ZipFile(tmp_path / "mine.npz", "a") as archive, archive.open("labels.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (2**50,)})
    note = npz_labels(tmp_path / "mine.npz", 3).note
    assert note is not None
    assert "cannot be read" in note


def test_an_npz_without_labels_has_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", images=IMAGES, others=np.zeros(3))
    np.savez(tmp_path / "one.npz", labels=IMAGES)
    assert npz_labels(tmp_path / "two.npz", 3) == npz_labels(tmp_path / "one.npz", 3) == Labels()


@pytest.mark.parametrize(
    ("names", "classes", "expected"),
    [
        (["10", "9", "-1", "9"], (), ("-1", "9", "10")),
        (["dog", "Cat", "bird"], (), ("bird", "Cat", "dog")),
        (["10", "9", "a"], (), ("10", "9", "a")),
        (["dog", "ship", "cat"], CLASSES["cifar10"], ("cat", "dog", "ship")),
        (["dog", "zebra", "cat"], CLASSES["cifar10"], ("cat", "dog", "zebra")),
        (["9" * 5000, "1"], (), ("1", "9" * 5000)),
        ([], (), ()),
    ],
)
def test_classes_have_an_order(names: list[str], classes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert in_order(names, classes) == expected


def test_which_digits_a_model_was_trained_on(shared_data: Path) -> None:
    from aedeploy.data.digest import PixelDigest
    from aedeploy.data.idx import read_idx_folder

    def of(*parts: np.ndarray) -> str:
        digest = PixelDigest((1, 28, 28))
        for part in parts:
            digest.update(part)
        return digest.hexdigest()

    split = digits()
    trained_on = digits_trained_on(of(split.train, split.held_out))
    assert trained_on is not None
    np.testing.assert_array_equal(every_digit()[trained_on], split.train)
    assert digits_trained_on("0" * 64) is None
    mnist = read_idx_folder(shared_data / "mnist")
    assert of(mnist.train, mnist.held_out) == MNIST
    of_mnist = digits_trained_on(MNIST)
    assert of_mnist is not None
    assert not of_mnist.any()
    np.testing.assert_array_equal(mnist.held_out, every_digit())
    assert idx_labels(shared_data / "mnist", 10_000).names == tuple(map(str, digit_labels()))
