from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sink_rows import image_chunk, job_settings

from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.images.write import ImageOptions
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.sinks.tree import TreeSink


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def write(chunk: Chunk, sink: TreeSink) -> None:
    sink.write(chunk)
    assert sink.commit(0, [chunk]) == ()
    assert sink.files(0) == ()


def test_every_image_is_at_its_inputs_place(tmp_path: Path) -> None:
    chunk = image_chunk("a.jpg", "d/e f/ü.tif", "d/b")
    images = [row.image for row in chunk.rows]
    write(chunk, TreeSink(job_settings(tmp_path)))
    assert written(tmp_path) == {"a.png", "d/e f/ü.png", "d/b.png"}
    assert (read(tmp_path / "d/e f/ü.png") == images[1]).all()
    assert all(row.image is None for row in chunk.rows)  # the pixels are let go
    assert not chunk.failures


@pytest.mark.parametrize(
    ("format", "name"), [("png", "a.png"), ("jpeg", "a.jpg"), ("webp", "a.webp"), ("tiff", "a.tif")]
)
def test_the_name_is_of_the_format(tmp_path: Path, format: str, name: str) -> None:
    write(image_chunk("a.bmp"), TreeSink(job_settings(tmp_path, images=ImageOptions(format=format))))  # type: ignore[arg-type]
    assert written(tmp_path) == {name}
    with Image.open(tmp_path / name) as image:
        assert image.format == format.upper()


def test_names_in_full(tmp_path: Path) -> None:
    settings = job_settings(tmp_path, names="full", images=ImageOptions(format="jpeg"))
    write(image_chunk("a.png", "a.jpg"), TreeSink(settings))
    assert written(tmp_path) == {"a.png.jpg", "a.jpg.jpg"}


def test_transparency_comes_back(tmp_path: Path) -> None:
    chunk = image_chunk("same.png", "larger.png", "none.png")
    chunk.rows[0].alpha = np.arange(20, dtype=np.uint8).reshape(5, 4)
    chunk.rows[1].alpha = np.full((10, 8), 77, np.uint8)  # of the image before it was decoded at half its size
    image = chunk.rows[0].image
    assert image is not None
    write(chunk, TreeSink(job_settings(tmp_path)))
    same = read(tmp_path / "same.png")
    assert (same[:, :, :3] == image).all()
    assert (same[:, :, 3] == np.arange(20).reshape(5, 4)).all()
    assert (read(tmp_path / "larger.png")[:, :, 3] == np.full((5, 4), 77)).all()
    assert read(tmp_path / "none.png").shape == (5, 4, 3)


def test_a_format_without_transparency_leaves_it_out(tmp_path: Path) -> None:
    chunk = image_chunk("a.png")
    chunk.rows[0].alpha = np.zeros((5, 4), np.uint8)
    write(chunk, TreeSink(job_settings(tmp_path, images=ImageOptions(format="jpeg"))))
    assert read(tmp_path / "a.jpg").shape == (5, 4, 3)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_sixteen_bits_stay(tmp_path: Path, format: str) -> None:
    chunk = image_chunk("a.png", channels=1, dtype=np.uint16)
    image = chunk.rows[0].image
    assert image is not None
    settings = job_settings(tmp_path, images=ImageOptions(format=format))  # type: ignore[arg-type]
    write(chunk, TreeSink(settings))
    (name,) = written(tmp_path)
    assert (read(tmp_path / name) == image[:, :, 0]).all()


def test_notes_are_in_the_file(tmp_path: Path) -> None:
    chunk = image_chunk("a.png")
    chunk.rows[0].notes["aedeploy"] = "decode=scaled"
    write(chunk, TreeSink(job_settings(tmp_path)))
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["aedeploy"] == "decode=scaled"


def test_a_name_that_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "in_the_way.png").mkdir()
    (tmp_path / "file").write_bytes(b"")
    long = "x" * 300 + ".png"
    chunk = image_chunk("a.png", long, "in_the_way.png", "file/b.png", "z.png")
    write(chunk, TreeSink(job_settings(tmp_path)))
    assert [row.source.path for row in chunk.rows] == ["a.png", "z.png"]
    assert {failure.path: failure.reason for failure in chunk.failures} == {
        long: "its output cannot be written: File name too long",
        "in_the_way.png": "its output cannot be written: Is a directory",
        "file/b.png": "its output cannot be written: Not a directory",
    }
    assert written(tmp_path) == {"a.png", "file", "z.png"}


def test_a_name_of_the_longest_length_can_be_written(tmp_path: Path) -> None:
    name = "x" * 251 + ".png"
    write(image_chunk(name), TreeSink(job_settings(tmp_path)))
    assert written(tmp_path) == {name}


def test_an_output_folder_that_cannot_be_written_is_no_failure_of_an_image(tmp_path: Path) -> None:
    nowhere = Path("/proc/self/fdinfo")  # where nobody can make files, root neither
    if not nowhere.is_dir():
        pytest.skip("there is no /proc here")
    (tmp_path / "out").symlink_to(nowhere)
    chunk = image_chunk("a.png")
    with pytest.raises(OSError, match=r"No such file|Permission|permitted"):
        TreeSink(job_settings(tmp_path / "out")).write(chunk)
    assert not chunk.failures


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    content = []
    for folder in ("1", "2"):
        write(image_chunk("a.png", "b.png"), TreeSink(job_settings(tmp_path / folder)))
        content.append([(tmp_path / folder / name).read_bytes() for name in ("a.png", "b.png")])
    assert content[0] == content[1]


def test_nothing_is_left_beside_the_images(tmp_path: Path) -> None:
    write(image_chunk(*(f"{number}.png" for number in range(20))), TreeSink(job_settings(tmp_path)))
    assert not [name for name in written(tmp_path) if name.endswith(PARTIAL_SUFFIX)]
