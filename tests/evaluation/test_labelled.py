"""Images with their labels: each image's own, whatever was left out on the way; and what is said of them is true."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle, DataRecord, open_bundle
from aedeploy.bundle.golden import load_golden, load_samples
from aedeploy.bundle.store import record_file
from aedeploy.data import digits
from aedeploy.data.digest import PixelDigest
from aedeploy.data.digits import every_digit
from aedeploy.data.known import MNIST
from aedeploy.data.labels import digit_labels
from aedeploy.data.split import split_images
from aedeploy.errors import ConfigError, IntegrityError, NothingToDoError, UnknownNameError
from aedeploy.evaluation import evaluate
from aedeploy.evaluation.find import find_images
from aedeploy.evaluation.images import ArrayImages, FileImages
from aedeploy.evaluation.labelled import labelled_images
from aedeploy.images.geometry import Geometry

GREY = Geometry(mode="L", height=8, width=8)


def told(count: int) -> np.ndarray:
    """uint8 [count, 8, 8, 1]: an image's grey is its position."""
    return np.repeat(np.arange(count, dtype=np.uint8), 64).reshape(count, 8, 8, 1)


def greys(pixels: np.ndarray) -> list[int]:
    return [int(value) for value in pixels[:, 0, 0, 0]]


def recorded(bundle: Bundle, name: str, *parts: np.ndarray, digest: str = "0" * 64) -> Bundle:
    """The bundle, as if it had been trained on the first of ``parts`` with the second held out."""
    if parts:
        of = PixelDigest((parts[0].shape[3], *parts[0].shape[1:3]))
        for part in parts:
            of.update(np.ascontiguousarray(part))
        digest = of.hexdigest()
    train, held_out = (len(parts[0]), len(parts[1])) if parts else (1, 1)
    record = DataRecord(name=name, digest=digest, train=train, held_out=held_out, split="none")
    provenance = bundle.manifest.provenance.model_copy(update={"data": record})
    return bundle.save(bundle.manifest.model_copy(update={"provenance": provenance}))


def write_idx(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def write_folder(folder: Path, names: list[str], broken: tuple[str, ...] = ()) -> None:
    """Images by these names; the grey of each is its place among them."""
    for at, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name in broken:
            (folder / name).write_bytes(b"\x89PNG")
        else:
            Image.new("L", (8, 8), at).save(folder / name)


@pytest.fixture
def of_digits(tmp_path: Path) -> Bundle:
    """A bundle of 28×28 that was trained on the embedded digits."""
    split = digits()
    return recorded(write_tiny_bundle(tmp_path / "of-digits", size=28), "digits", split.train, split.held_out)


@pytest.fixture
def of_mnist(tmp_path: Path) -> Bundle:
    """A bundle of 28×28 that was trained on MNIST, whose files are not here."""
    return recorded(write_tiny_bundle(tmp_path / "of-mnist", size=28), "mnist", digest=MNIST)


def test_an_array_must_have_a_label_for_each_image() -> None:
    with pytest.raises(ConfigError, match="2 labels for 3 images"):
        ArrayImages(told(3), ("a", "b"))
    assert ArrayImages(told(3)).labels is None


def test_a_sample_keeps_its_labels() -> None:
    sample = ArrayImages(told(9), tuple("abcdefghi")).sample(3)
    assert sample.labels == ("b", "e", "h")
    assert greys(sample.pixels) == [1, 4, 7]
    files = FileImages(Path(), ("a/1.png", "b/2.png", "c/d/3.png", "4.png")).sample(2)
    assert (files.names, files.labels) == (("b/2.png", "4.png"), ("b", None))
    assert FileImages(Path(), ("1.png", "2.png")).labels is None


def test_files_that_cannot_be_read_take_their_labels_with_them(tmp_path: Path) -> None:
    names = ["0.png", "a/1.png", "a/2.png", "b/3.png", "b/c/4.png", "b/c/5.png"]
    write_folder(tmp_path, names, broken=("a/1.png", "b/c/4.png"))
    images = FileImages(tmp_path, tuple(names))
    assert images.labels == (None, "a", "a", "b", "b/c", "b/c")
    for size in (1, 4, 100):
        read = np.concatenate(list(images.batches(GREY, size)))
        assert greys(read) == [0, 2, 3, 5]
        assert images.labels == (None, "a", "b", "b/c")


def test_a_folder_of_folders(tiny: Bundle, tmp_path: Path) -> None:
    names = ["cats/0.png", "cats/1.png", "dogs/2.png", "dogs/3.png", "dogs/4.png", "dogs/5.png"]
    write_folder(tmp_path / "animals", names, broken=("cats/1.png", "dogs/4.png"))
    found = labelled_images(tiny, str(tmp_path / "animals"))
    assert greys(found.pixels) == [0, 2, 3, 5]
    assert (found.pixels.shape, found.pixels.dtype) == ((4, 8, 8, 1), np.uint8)
    assert found.labels == ("cats", "dogs", "dogs", "dogs")
    assert (found.classes, found.held_out) == (("cats", "dogs"), None)
    assert found.about == "4 of 6 images of animals"
    assert [failure.path for failure in found.failures] == ["cats/1.png", "dogs/4.png"]
    fewer = labelled_images(tiny, str(tmp_path / "animals"), limit=3)
    # The files at 1, 3 and 5, of which the first is broken.
    assert (greys(fewer.pixels), fewer.labels) == ([3, 5], ("dogs", "dogs"))
    assert (fewer.about, fewer.classes) == ("2 of 6 images of animals", ("dogs",))


def test_a_flat_folder_and_one_image_have_no_labels(tiny: Bundle, tmp_path: Path) -> None:
    write_folder(tmp_path / "flat", ["0.png", "1.png"])
    found = labelled_images(tiny, str(tmp_path / "flat"))
    assert (found.labels, found.classes, found.about) == (None, (), "2 images of flat")
    assert labelled_images(tiny, str(tmp_path / "flat" / "1.png")).about == "1 image of 1.png"


def test_a_folder_of_broken_files_is_refused_as_by_evaluate(tiny: Bundle, tmp_path: Path) -> None:
    write_folder(tmp_path / "all", ["a/0.png"], broken=("a/0.png",))
    with pytest.raises(NothingToDoError, match=r"None of the images of all can be read: a/0\.png \(") as refused:
        labelled_images(tiny, str(tmp_path / "all"))
    with pytest.raises(NothingToDoError) as by_evaluate:
        evaluate(tiny, find_images(tiny, str(tmp_path / "all")))
    assert str(refused.value) == str(by_evaluate.value)


@pytest.mark.parametrize("kind", ["npz", "idx"])
@pytest.mark.parametrize("known", [True, False], ids=["trained on it", "not trained on it"])
def test_an_array_that_is_split_evenly(tiny: Bundle, tmp_path: Path, kind: str, known: bool) -> None:
    images, labels = told(100), np.arange(100) // 10
    path = tmp_path / ("mine.npz" if kind == "npz" else "mine")
    if kind == "npz":
        np.savez(path, images=images, labels=labels)
    else:
        write_idx(path / "images-idx3-ubyte", images[..., 0])
        write_idx(path / "labels-idx1-ubyte", labels)
    split = split_images(images if known else 255 - images, 20)
    found = labelled_images(recorded(tiny, "mine", split.train, split.held_out), str(path))
    assert greys(found.pixels) == (list(range(2, 100, 5)) if known else list(range(100)))
    assert found.labels == tuple(str(grey // 10) for grey in greys(found.pixels))
    assert found.classes == tuple("0123456789")
    if known:
        assert found.about == "20 images of the test part of mine, which it was not trained on"
        assert found.held_out is True
    else:
        assert (found.about, found.held_out) == ("100 images of mine", None)


def test_strings_of_an_npz_after_a_limit(tiny: Bundle, tmp_path: Path) -> None:
    names = np.array([f"kind {at % 3}" for at in range(60)])
    names[5] = ""
    np.savez(tmp_path / "mine.npz", images=told(60), labels=names)
    found = labelled_images(tiny, str(tmp_path / "mine.npz"), limit=6)
    assert greys(found.pixels) == [5, 15, 25, 35, 45, 55]
    assert found.labels == (None, "kind 0", "kind 1", "kind 2", "kind 0", "kind 1")
    assert found.classes == ("kind 0", "kind 1", "kind 2")
    assert found.about == "6 of 60 images of mine"


def test_labels_that_do_not_fit_are_a_note_and_evaluate_goes_on(tiny: Bundle, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", images=told(60), labels=np.arange(59))
    found = labelled_images(tiny, str(tmp_path / "mine.npz"))
    assert (found.labels, found.classes, len(found.pixels)) == (None, (), 60)
    note = "The labels are left out: the array 'labels' of mine.npz has 59 for 60 images: one is needed for each."
    assert found.notes == (note,)
    write_idx(tmp_path / "sets" / "train-images-idx3-ubyte", told(9)[..., 0])
    write_idx(tmp_path / "sets" / "t10k-images-idx3-ubyte", told(3)[..., 0])
    (tmp_path / "sets" / "t10k-labels-idx1-ubyte").write_bytes(b"broken")
    result = evaluate(tiny, find_images(tiny, "mnist", root=tmp_path / "sets"), pca=False)
    assert result.data.images == 3
    assert result.notes[0].startswith("The labels are left out: t10k-labels-idx1-ubyte is not an idx file")


def test_a_data_set_with_a_test_part(tiny: Bundle, tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", told(20)[..., 0])
    write_idx(tmp_path / "t10k-images-idx3-ubyte", 100 + told(4)[..., 0])
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(20))
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.array([9, 1, 0, 9]))
    found = labelled_images(tiny, "fashion-mnist", root=tmp_path)
    assert (found.about, found.held_out) == ("4 images of Fashion-MNIST's test set", None)
    assert greys(found.pixels) == [100, 101, 102, 103]
    assert found.labels == ("Ankle boot", "Trouser", "T-shirt/top", "Ankle boot")
    assert found.classes == ("T-shirt/top", "Trouser", "Ankle boot")
    trained = recorded(tiny, "fashion-mnist", told(20), 100 + told(4))
    own = labelled_images(trained, root=tmp_path)
    assert own.about == "4 images of Fashion-MNIST's test set, which it was not trained on"
    assert (own.held_out, own.labels, own.notes) == (True, found.labels, ())
    by_path = labelled_images(trained, str(tmp_path))
    assert by_path.about == f"4 images of the test part of {tmp_path.name}, which it was not trained on"
    assert by_path.classes == ("0", "1", "9")


def test_cifar_in_its_own_order(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        rows = np.repeat(np.arange(4, dtype=np.uint8), 3072).reshape(4, 3072)
        (folder / name).write_bytes(pickle.dumps({"data": rows, "labels": [9, 0, 6, 2] if "test" in name else [1] * 4}))
    bundle = write_tiny_bundle(tmp_path / "colour", mode="RGB", size=32)
    found = labelled_images(bundle, "cifar10", root=tmp_path)
    assert found.labels == ("truck", "airplane", "frog", "bird")
    assert found.classes == ("airplane", "bird", "frog", "truck")
    assert (found.pixels.shape, greys(found.pixels)) == ((4, 32, 32, 3), [0, 1, 2, 3])


def test_the_digits_that_were_held_out(of_digits: Bundle) -> None:
    found = labelled_images(of_digits)
    assert found.about == "1,000 images of the embedded digits' test part, which it was not trained on"
    assert (found.held_out, found.classes, found.notes) == (True, tuple("0123456789"), ())
    np.testing.assert_array_equal(found.pixels, every_digit()[5::10])
    assert found.labels == tuple(map(str, digit_labels()[5::10]))
    fewer = labelled_images(of_digits, limit=10)
    assert fewer.about == "10 of 1,000 images of the embedded digits' test part, which it was not trained on"
    np.testing.assert_array_equal(fewer.pixels, every_digit()[505::1000])
    assert fewer.labels == tuple(map(str, digit_labels()[505::1000]))


def test_the_same_digits_by_another_name(of_digits: Bundle) -> None:
    split = digits()
    found = labelled_images(recorded(of_digits, "somebody's", split.train, split.held_out), limit=10)
    assert found.about == "10 of 1,000 images of the embedded digits' test part, which it was not trained on"
    np.testing.assert_array_equal(found.pixels, every_digit()[505::1000])
    assert found.labels == tuple(map(str, digit_labels()[505::1000]))


def test_what_only_has_the_name_of_the_digits_is_not_said_to_be_held_out(tiny: Bundle) -> None:
    found = labelled_images(recorded(tiny, "digits", told(9), told(3)), limit=5)
    assert (found.about, found.held_out) == ("5 of 1,000 images of the embedded digits' test part", None)
    assert found.pixels.shape == (5, 8, 8, 1)
    assert found.notes[0].startswith("Whether the model was trained on some of these images is not known")


def test_of_mnist_that_is_not_here_its_test_images_are_the_digits(
    of_mnist: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = labelled_images(of_mnist)
    assert found.about == "1,000 of 10,000 digits of MNIST's test set, which it was not trained on"
    assert (found.held_out, found.notes) == (True, ())
    np.testing.assert_array_equal(found.pixels, every_digit()[5::10])
    assert found.labels == tuple(map(str, digit_labels()[5::10]))
    assert labelled_images(of_mnist, "digits").held_out is True


def test_of_mnist_that_is_here_the_same(of_mnist: Bundle, shared_data: Path) -> None:
    found = labelled_images(of_mnist, root=shared_data / "mnist", limit=100)
    assert found.about == "100 of 10,000 digits of MNIST's test set, which it was not trained on"
    assert found.held_out is True
    np.testing.assert_array_equal(found.pixels, every_digit()[50::100])
    assert found.labels == tuple(map(str, digit_labels()[50::100]))


def test_of_mnists_test_images_a_model_of_the_digits_knows_most(of_digits: Bundle, tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", every_digit()[:3, ..., 0])
    write_idx(tmp_path / "t10k-images-idx3-ubyte", every_digit()[..., 0])
    found = labelled_images(of_digits, "mnist", root=tmp_path, limit=3000)
    assert found.about == "3,000 of 10,000 digits of MNIST's test set, 2,000 of which it was trained on"
    assert found.held_out is False
    assert found.notes[0].startswith("9,000 of MNIST's 10,000 test images")
    # Every tenth image, of which none was trained on: those are the ones that were held out.
    tenth = labelled_images(of_digits, "mnist", root=tmp_path, limit=1000)
    assert tenth.held_out is True
    np.testing.assert_array_equal(tenth.pixels, digits().held_out)


def test_held_out_digits_are_not_said_to_be_trained_on(of_digits: Bundle, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", images=every_digit(), labels=digit_labels())
    found = labelled_images(of_digits, str(tmp_path / "mine.npz"), limit=10)
    assert (found.held_out, found.notes) == (True, ())
    assert found.labels == tuple(map(str, digit_labels()[505::1000]))


def test_else_the_samples_that_the_bundle_carries(
    tiny: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    samples = load_samples(tiny.file(tiny.manifest.golden))
    found = labelled_images(tiny)
    np.testing.assert_array_equal(found.pixels, samples)
    assert (found.labels, found.classes, found.held_out) == (None, (), True)
    assert found.about == "4 held-out images that the bundle carries, which it was not trained on"
    assert found.notes == (
        "The bundle was trained on a path, 'patterns': shown are the samples that it carries, without labels; "
        "--data shows more.",
    )
    fewer = labelled_images(recorded(tiny, "cifar10"), limit=2)
    np.testing.assert_array_equal(fewer.pixels, samples[[1, 3]])
    assert fewer.about.startswith("2 of 4 held-out images")
    assert "was trained on 'cifar10', whose files are not here" in fewer.notes[0]


def unrecorded(bundle: Bundle) -> Bundle:
    """The bundle, as if it were somebody's own model."""
    provenance = bundle.manifest.provenance.model_copy(update={"data": None})
    return bundle.save(bundle.manifest.model_copy(update={"provenance": provenance}))


def test_of_somebodys_own_model_nothing_is_said_of_its_samples(tiny: Bundle) -> None:
    found = labelled_images(unrecorded(tiny))
    assert (found.about, found.held_out) == ("4 sample images that the bundle carries", None)
    assert found.notes[0].startswith("The bundle does not say what it was trained on: shown are")


def test_a_bundle_without_samples_needs_images(tiny: Bundle, tmp_path: Path) -> None:
    from safetensors.numpy import save

    bundle = open_bundle(shutil.copytree(tiny.path, tmp_path / "copy"))
    cases = load_golden(bundle.file(bundle.manifest.golden))
    tensors = {f"{case.role}/{case.batch}/{name}": array for case in cases for name, array in case.inputs.items()}
    golden = bundle.path / bundle.manifest.golden.path
    for samples in ({}, {"samples": np.zeros((2, 8, 8, 5), np.uint8)}, {"samples": np.zeros((2, 8, 8, 1), np.float32)}):
        golden.write_bytes(save({**tensors, **samples}))
        record = record_file(bundle.path, bundle.manifest.golden.path)
        without = bundle.save(bundle.manifest.model_copy(update={"golden": record}))
        with pytest.raises(ConfigError, match=r"path, 'patterns', and carries no sample images: give .* --data\."):
            labelled_images(without)
    golden.write_bytes(golden.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        labelled_images(bundle)


def test_what_is_no_data_is_refused_as_by_evaluate(tiny: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mnist'"):
        labelled_images(tiny, "mnits")
    with pytest.raises(ConfigError, match=r"is not in .*downloads nothing"):
        labelled_images(tiny, "mnist", root=tmp_path)
    with pytest.raises(ConfigError, match="--limit 0"):
        labelled_images(tiny, limit=0)
