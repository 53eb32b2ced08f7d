from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sink_rows import image_chunk, job_settings

from aedeploy.images.write import ImageOptions
from aedeploy.jobs.sinks.tar import TarSink
from aedeploy.jobs.sinks.tree import TreeSink


def test_a_shard_is_an_archive_of_what_a_tree_would_have(tmp_path: Path) -> None:
    names = ["d/b.jpg", "a.png", "d/" + "ü" * 120 + "\n.png"]
    for folder in ("tree", "tar"):
        (tmp_path / folder).mkdir()
    TreeSink(job_settings(tmp_path / "tree")).write(image_chunk(*names))
    sink = TarSink(job_settings(tmp_path / "tar"))
    chunks = [image_chunk(*names[:2]), image_chunk(), image_chunk(names[2])]
    for chunk in chunks:
        sink.write(chunk)
        assert all(row.image is None for row in chunk.rows)  # the pixels are let go
    (output,) = sink.commit(3, chunks)
    assert (output.file,) == sink.files(3) == ("images-00003.tar",)
    path = tmp_path / "tar" / output.file
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_size == output.bytes
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [name.rpartition(".")[0] + ".png" for name in names]
        for member in members:
            content = archive.extractfile(member)
            assert content is not None
            assert content.read() == (tmp_path / "tree" / member.name).read_bytes()
            assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "", 0o644)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    content = []
    for folder in ("1", "2"):
        sink, chunk = TarSink(job_settings(tmp_path / folder)), image_chunk("a.png", "ü.png")
        sink.write(chunk)
        sink.commit(0, [chunk])
        content.append((tmp_path / folder / "images-00000.tar").read_bytes())
    assert content[0] == content[1]


def test_of_no_rows_there_is_no_archive(tmp_path: Path) -> None:
    sink = TarSink(job_settings(tmp_path))
    assert sink.commit(0, [image_chunk()]) == ()
    assert not list(tmp_path.iterdir())


def test_a_disk_error_leaves_nothing(tmp_path: Path) -> None:
    sink, chunk = TarSink(job_settings(tmp_path)), image_chunk("a.png")
    sink.write(chunk)
    (tmp_path / "images-00000.tar").mkdir()  # in the way, whoever runs this
    with pytest.raises(IsADirectoryError):
        sink.commit(0, [chunk])
    assert [path.name for path in tmp_path.iterdir()] == ["images-00000.tar"]


@pytest.mark.parametrize("sink", [TarSink, TreeSink])
def test_an_image_that_its_format_cannot_hold_fails_alone(tmp_path: Path, sink: type[TarSink | TreeSink]) -> None:
    opened, chunk = sink(job_settings(tmp_path, images=ImageOptions(format="jpeg"))), image_chunk("a.png", "b.png")
    chunk.rows[0].image = np.zeros((1, 70_000, 1), np.uint8)  # beyond 65,535
    opened.write(chunk)
    assert [row.source.path for row in chunk.rows] == ["b.png"]
    assert [failure.path for failure in chunk.failures] == ["a.png"]
    assert "65" in chunk.failures[0].reason


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its files open
def test_webdataset_reads_it(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    sink, chunk = TarSink(job_settings(tmp_path)), image_chunk("d/a.jpg", "b.jpg")
    images = [row.image for row in chunk.rows]
    sink.write(chunk)
    sink.commit(0, [chunk])
    read = list(webdataset.WebDataset(str(tmp_path / "images-00000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in read] == ["d/a", "b"]
    for sample, image in zip(read, images, strict=True):
        assert (np.asarray(Image.open(io.BytesIO(sample["png"]))) == image).all()
