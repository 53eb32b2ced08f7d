"""Which images a bundle is measured on."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aedeploy.bundle import Bundle, DataRecord
from aedeploy.data import digits
from aedeploy.data.digest import PixelDigest
from aedeploy.data.split import split_images
from aedeploy.errors import ConfigError, NothingToDoError, UnknownNameError
from aedeploy.evaluation.find import find_images
from aedeploy.evaluation.images import ArrayImages, FileImages, ImageSet
from aedeploy.images.geometry import Geometry
from aedeploy.images.read import read_image

GREY = Geometry(mode="L", height=8, width=8)


def pixels(images: ImageSet | None, geometry: Geometry = GREY, size: int = 7) -> np.ndarray:
    assert images is not None
    return np.concatenate(list(images.batches(geometry, size)))


def trained_on(bundle: Bundle, images: np.ndarray, name: str, held_out: int) -> Bundle:
    """The bundle, as if it had been trained on an array of images of its size."""
    split = split_images(images, held_out)
    digest = PixelDigest((images.shape[3], *images.shape[1:3]))
    digest.update(split.train)
    digest.update(split.held_out)
    record = DataRecord(
        name=name, digest=digest.hexdigest(), train=len(split.train), held_out=held_out, split=split.rule
    )
    return recorded(bundle, record)


def recorded(bundle: Bundle, record: DataRecord | None) -> Bundle:
    provenance = bundle.manifest.provenance.model_copy(update={"data": record})
    return bundle.save(bundle.manifest.model_copy(update={"provenance": provenance}))


def named(name: str) -> DataRecord:
    return DataRecord(name=name, digest="0" * 64, train=1, held_out=1, split="none")


def write_idx(path: Path, images: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in images.shape[:3])
    path.write_bytes(gzip.compress(header + images.tobytes()))


def test_without_data_it_is_what_the_bundle_was_trained_on(tiny: Bundle) -> None:
    found = find_images(recorded(tiny, named("digits")))
    assert (found.name, len(found.test), found.notes) == ("digits", 1000, ())
    geometry = Geometry(mode="L", height=28, width=28)
    np.testing.assert_array_equal(pixels(found.test, geometry), digits().held_out)
    np.testing.assert_array_equal(pixels(found.train, geometry, 1000), digits().train)


def test_data_without_a_name_must_be_given(tiny: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"was trained on a path, 'patterns': give the images .* --data"):
        find_images(tiny)
    with pytest.raises(ConfigError, match=r"does not say what it was trained on: give .* --data"):
        find_images(recorded(tiny, None))


def test_a_data_set_that_is_not_there_is_not_downloaded(
    tiny: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"'mnist' is not in .*downloads nothing: point --data-root"):
        find_images(recorded(tiny, named("mnist")))


@pytest.mark.parametrize("layout", ["by name", "by path"])
def test_the_official_test_set_is_measured(tiny: Bundle, tmp_path: Path, grey_images: np.ndarray, layout: str) -> None:
    write_idx(tmp_path / "sets" / "train-images-idx3-ubyte.gz", grey_images[:200])
    write_idx(tmp_path / "sets" / "t10k-images-idx3-ubyte.gz", grey_images[200:])
    folder = tmp_path / "sets"
    found = find_images(tiny, "mnist", root=folder) if layout == "by name" else find_images(tiny, str(folder))
    assert found.name == ("mnist" if layout == "by name" else "sets")
    np.testing.assert_array_equal(pixels(found.test), grey_images[200:])
    np.testing.assert_array_equal(pixels(found.train), grey_images[:200])
    assert "own test set" in found.part


def test_mnists_test_images_were_the_training_images_of_a_bundle_of_digits(tiny: Bundle, tmp_path: Path) -> None:
    split = digits()
    whole = np.empty((10_000, 28, 28, 1), dtype=np.uint8)
    held = np.zeros(10_000, dtype=bool)
    held[5::10] = True
    whole[held], whole[~held] = split.held_out, split.train
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", whole[:3])
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", whole)
    of_digits = recorded(tiny, named("digits"))
    assert "9,000 of MNIST's 10,000 test images" in find_images(of_digits, "mnist", root=tmp_path).notes[0]
    assert find_images(of_digits, "digits").notes == ()
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", 255 - whole)
    assert find_images(of_digits, "mnist", root=tmp_path).notes == ()
    assert find_images(tiny, "mnist", root=tmp_path).notes == ()


@pytest.mark.parametrize("kind", ["npz", "idx"])
def test_of_the_array_it_was_trained_on_what_was_held_out_then(
    tiny: Bundle, tmp_path: Path, grey_images: np.ndarray, kind: str
) -> None:
    path = tmp_path / ("mine.npz" if kind == "npz" else "mine")
    if kind == "npz":
        np.savez(path, images=grey_images)
    else:
        write_idx(path / "images-idx3-ubyte.gz", grey_images)
    split = split_images(grey_images, 20)
    found = find_images(trained_on(tiny, grey_images, "another name", 20), str(path))
    np.testing.assert_array_equal(pixels(found.test), split.held_out)
    np.testing.assert_array_equal(pixels(found.train), split.train)
    assert (found.name, found.part) == ("mine", split.rule)


@pytest.mark.parametrize("kind", ["npz", "idx"])
def test_of_another_array_all(tiny: Bundle, tmp_path: Path, grey_images: np.ndarray, kind: str) -> None:
    path = tmp_path / ("mine.npz" if kind == "npz" else "mine")
    if kind == "npz":
        np.savez(path, images=grey_images)
    else:
        write_idx(path / "images-idx3-ubyte.gz", grey_images)
    # As many images, and others.
    found = find_images(trained_on(tiny, 255 - grey_images, "mine", 20), str(path))
    np.testing.assert_array_equal(pixels(found.test), grey_images)
    assert found.train is None
    assert found.part == "all 300 images"


def test_a_folder_is_read_as_serving_reads_it_and_its_broken_files_are_listed(tiny: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    random = np.random.default_rng(0)
    for at in range(10):
        path = folder / ("a" if at % 2 else "b") / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20, 16, 3), dtype=np.uint8)).save(path)
    (folder / "a" / "broken.png").write_bytes(b"\x89PNG")
    (folder / "notes.txt").write_text("no image")
    found = find_images(tiny, str(folder))
    assert isinstance(found.test, FileImages)
    assert (found.name, found.train, len(found.test)) == ("photos", None, 11)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("[0-9].png"))
    expected = np.stack([GREY.apply(read_image(folder / name, "L")) for name in names])
    for size in (1, 4, 100):
        np.testing.assert_array_equal(pixels(found.test, GREY, size), expected)
    assert [failure.path for failure in found.test.failures] == ["a/broken.png"]
    assert "known format" in found.test.failures[0].reason
    assert find_images(recorded(tiny, named("photos")), str(folder)).notes[0].startswith("The model was trained on")


def test_one_image_will_do(tiny: Bundle, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (255, 255, 255)).save(tmp_path / "white.png")
    found = find_images(tiny, str(tmp_path / "white.png"))
    np.testing.assert_array_equal(pixels(found.test), np.full((1, 8, 8, 1), 255))


@pytest.mark.parametrize(
    ("given", "mode", "shape"),
    [((5, 8, 8, 1), "L", (8, 8, 1)), ((5, 12, 9, 1), "RGB", (6, 8, 3)), ((5, 12, 9, 3), "L", (6, 8, 1))],
)
def test_arrays_take_the_models_size_and_colour(given: tuple[int, ...], mode: str, shape: tuple[int, int, int]) -> None:
    array = np.random.default_rng(0).integers(0, 256, given, dtype=np.uint8)
    geometry = Geometry(mode="L" if mode == "L" else "RGB", height=shape[0], width=shape[1])
    plain = array[..., 0] if given[3] == 1 else array
    expected = np.stack([geometry.apply(Image.fromarray(image)) for image in plain])
    found = pixels(ArrayImages(array), geometry, 2)
    assert found.shape == (5, *shape)
    np.testing.assert_array_equal(found, expected)


def test_a_limit_takes_images_evenly(tiny: Bundle, tmp_path: Path, grey_images: np.ndarray) -> None:
    np.savez(tmp_path / "mine.npz", images=grey_images)
    found = find_images(tiny, str(tmp_path / "mine.npz"), limit=3)
    np.testing.assert_array_equal(pixels(found.test), grey_images[[50, 150, 250]])
    assert found.part == "all 300 images; 3 of these, evenly spaced"
    assert len(find_images(tiny, str(tmp_path / "mine.npz"), limit=300).test) == 300
    (tmp_path / "files").mkdir()
    for at in range(4):
        Image.new("L", (8, 8), at).save(tmp_path / "files" / f"{at}.png")
    assert pixels(find_images(tiny, str(tmp_path / "files"), limit=2).test)[:, 0, 0, 0].tolist() == [1, 3]


def test_what_is_neither_a_name_nor_a_path_is_refused(tiny: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'mnits' \(did you mean 'mnist'"):
        find_images(tiny, "mnits")
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        find_images(tiny, str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDoError, match="no image in"):
        find_images(tiny, str(tmp_path / "empty"))
