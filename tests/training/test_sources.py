"""Where images come from: names, roots, arrays, folders; in memory and streamed."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aedeploy.errors import ConfigError, MissingDependencyError, NothingToDoError, TrainingError, UnknownNameError
from aedeploy.images.geometry import Geometry
from aedeploy.images.read import read_image
from aedeploy.training.data.folder import DEFAULT_SIZE, StreamedImages, in_order
from aedeploy.training.data.image_set import ImageSet, MemoryImages, in_turn
from aedeploy.training.data.open import open_source
from aedeploy.training.data.source import Data, DataRequest


def load(data: Path | str, **options: object) -> Data:
    return open_source(DataRequest(data=str(data), **options)).load()  # type: ignore[arg-type]


def pixels(images: ImageSet) -> np.ndarray:
    """All of them, uint8 [N, H, W, C]."""
    return torch.cat(list(images.batches(in_turn(len(images), 7)))).permute(0, 2, 3, 1).numpy()


def idx_file(path: Path, images: np.ndarray, *, zipped: bool) -> None:
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in images.shape)
    content = header + images.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.with_name(f"{path.name}.gz") if zipped else path).write_bytes(gzip.compress(content) if zipped else content)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten images of 20×16 in two folders, colour and grey, one with alpha; two broken files; one that is no image."""
    random = np.random.default_rng(0)
    folder = tmp_path / "my photos"
    for at in range(10):
        path = folder / ("a" if at % 2 else "b") / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (20, 16) if at == 3 else (20, 16, 4 if at == 4 else 3)
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(path)
    whole = (folder / "a" / "1.png").read_bytes()
    (folder / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "b" / "text.jpg").write_text("not an image")
    (folder / "notes.txt").write_text("nor this")
    return folder


def test_digits_are_the_default() -> None:
    data = open_source(DataRequest()).load()
    assert (data.record.name, data.record.train, data.record.held_out) == ("digits", 9000, 1000)
    assert len(data.train) == 9000
    assert data.train.image_shape == (1, 28, 28)


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
@pytest.mark.parametrize("layout", ["torchvision", "plain"])
@pytest.mark.parametrize("zipped", [False, True])
def test_data_root_in_torchvisions_layout_or_just_the_files(
    tmp_path: Path, name: str, folder: str, layout: str, zipped: bool
) -> None:
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (count, 28, 28), dtype=np.uint8) for count in (5, 3))
    place = tmp_path / folder / "raw" if layout == "torchvision" else tmp_path
    idx_file(place / "train-images-idx3-ubyte", train, zipped=zipped)
    idx_file(place / "t10k-images-idx3-ubyte", test, zipped=zipped)
    before = set(sys.modules)
    data = load(name, data_root=tmp_path)
    assert "torchvision" not in set(sys.modules) - before
    np.testing.assert_array_equal(pixels(data.train)[..., 0], train)
    np.testing.assert_array_equal(pixels(data.held_out)[..., 0], test)
    assert data.record.name == name
    assert "own test set" in data.record.split


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_download_that_fails_names_both_remedies(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(TrainingError, match=r"was not downloaded before, .* a network, or point --data-root at"):
        load(name)
    with pytest.raises(TrainingError, match=r"is not in .*empty"):
        load(name, data_root=tmp_path / "empty")


def test_without_torchvision_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises((MissingDependencyError, ValueError), match=r"aedeploy\[train\]|__spec__"):
        load("cifar10", data_root=tmp_path)


def test_a_fixed_split_is_not_changed() -> None:
    with pytest.raises(ConfigError, match="digits has a fixed split"):
        load("digits", held_out=0.5)


def test_an_npz_is_split_evenly(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "colours.npz", images=images)
    data = load(tmp_path / "colours.npz")
    np.testing.assert_array_equal(pixels(data.held_out), images[[5, 15]])
    assert (data.record.name, data.record.train) == ("colours", 18)
    assert str(tmp_path) not in data.record.model_dump_json()


def test_a_folder_of_idx_files(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    idx_file(tmp_path / "mine" / "images-idx3-ubyte", images, zipped=True)
    data = load(tmp_path / "mine", held_out=4)
    assert (data.record.name, data.record.train, data.record.held_out) == ("mine", 16, 4)


def test_arrays_are_brought_to_the_size_and_colour_asked_for(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "grey.npz", images=images)
    data = load(tmp_path / "grey.npz", image_size=(6, 10), color="rgb")
    assert data.train.image_shape == (3, 6, 10)
    expected = Geometry(mode="RGB", height=6, width=10).apply(Image.fromarray(images[2]))
    np.testing.assert_array_equal(pixels(data.held_out)[0], expected)


def test_a_folder_is_read_as_serving_reads_it(photos: Path) -> None:
    data = load(photos, image_size=(12, 12), color="rgb", held_out=2)
    geometry = Geometry(mode="RGB", height=12, width=12)
    names = sorted(str(path.relative_to(photos)) for path in photos.rglob("[0-9].png"))
    expected = np.stack([geometry.apply(read_image(photos / name, "RGB")) for name in names])
    held = [2, 7]
    np.testing.assert_array_equal(pixels(data.held_out), expected[held])
    np.testing.assert_array_equal(pixels(data.train), np.delete(expected, held, axis=0))


def test_broken_files_are_left_out_counted_and_listed(photos: Path) -> None:
    data = load(photos, image_size=(8, 8))
    assert data.record.train + data.record.held_out == 10
    (note,) = data.notes
    assert note.startswith("2 of 12 files cannot be read and are left out: a/cut.png (")
    assert "b/text.jpg (it is not an image" in note
    assert str(photos) not in note


def test_size_and_colour_are_the_images_own_where_they_agree(photos: Path, tmp_path: Path) -> None:
    source = open_source(DataRequest(data=str(photos)))
    assert source.image_shape == (3, 20, 16)
    assert source.notes == ()
    grey = tmp_path / "grey"
    grey.mkdir()
    for at in range(3):
        Image.new("L", (8, 8), at).save(grey / f"{at}.png")
    assert open_source(DataRequest(data=str(grey))).image_shape == (1, 8, 8)
    assert open_source(DataRequest(data=str(grey), color="rgb")).image_shape == (3, 8, 8)
    assert open_source(DataRequest(data=str(photos), color="grey")).image_shape == (1, 20, 16)
    Image.new("L", (9, 8)).save(grey / "wider.png")
    mixed = open_source(DataRequest(data=str(grey)))
    assert mixed.image_shape == (1, DEFAULT_SIZE, DEFAULT_SIZE)
    assert "of several sizes: --image-size" in mixed.notes[0]


def test_a_turned_photograph_counts_by_its_upright_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for at in range(2):
        Image.new("RGB", (16, 8), (at, 0, 0)).save(tmp_path / f"{at}.jpg", exif=exif)
    assert open_source(DataRequest(data=str(tmp_path))).image_shape == (3, 16, 8)
    assert load(tmp_path).train.image_shape == (3, 16, 8)


def test_streamed_images_are_those_in_memory(photos: Path) -> None:
    kept, streamed = (load(photos, image_size=(8, 8), memory_limit=limit) for limit in (None, 0))
    assert isinstance(kept.train, MemoryImages)
    assert isinstance(streamed.train, StreamedImages)
    assert kept.record == streamed.record
    assert "anew in every epoch" in streamed.notes[-1]
    order = [torch.tensor([5, 0, 3]), torch.tensor([8]), torch.arange(9).repeat(10)]
    for left, right in zip(kept.train.batches(order), streamed.train.batches(order), strict=True):
        assert left.is_contiguous()
        assert torch.equal(left, right)
    np.testing.assert_array_equal(pixels(kept.held_out), pixels(streamed.held_out))


def test_a_file_that_breaks_later_stops_the_run_by_name(photos: Path) -> None:
    data = load(photos, image_size=(8, 8), memory_limit=0)
    for path in photos.rglob("5.png"):
        path.write_bytes(b"broken now")
    with pytest.raises(TrainingError, match=r"5\.png could be read when training began"):
        list(data.train.batches(in_turn(len(data.train), 4)))


def test_results_come_in_order_and_a_caller_may_stop_early() -> None:
    results = in_order(lambda item: item * item, iter(range(100)), workers=3)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    results.close()
    assert list(in_order(str, range(50), workers=4)) == [str(item) for item in range(50)]


def test_what_cannot_be_data_is_refused(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDoError, match="no image in"):
        load(tmp_path / "empty")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no")
    with pytest.raises(NothingToDoError, match=r"None of the 1 image files in .* a\.png"):
        load(tmp_path / "broken")
    Image.new("L", (8, 8)).save(tmp_path / "broken" / "b.png")
    with pytest.raises(ConfigError, match="at least 2 images"):
        load(tmp_path / "broken")
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(UnknownNameError, match=r"did you mean 'digits'\?"):
        load("digit")
    with pytest.raises(ConfigError, match="not one file"):
        load(photos / "notes.txt")
    for options, message in {
        (("color", "blue"),): "no colour mode 'blue'",
        (("image_size", (0, 8)),): "at least 1 pixel",
        (("workers", 0),): "--workers 0",
    }.items():
        with pytest.raises(ConfigError, match=message):
            load(photos, **dict(options))


def test_the_digest_tells_pixels_and_shapes_apart(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 9), dtype=np.uint8)
    digests = set()
    for name, array in {"a": images, "b": images[::-1], "c": images.reshape(10, 9, 4), "d": images}.items():
        np.savez(tmp_path / f"{name}.npz", images=array)
        digests.add(load(tmp_path / f"{name}.npz").record.digest)
    assert len(digests) == 3


def test_mnist_from_its_files(shared_data: Path) -> None:
    data = load("mnist", data_root=shared_data / "mnist")
    assert (data.record.train, data.record.held_out) == (60000, 10000)
