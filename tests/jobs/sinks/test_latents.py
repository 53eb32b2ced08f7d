from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sink_rows import chunk_of, job_settings

from aedeploy.jobs.latents import LatentsContract, open_latents, read_paths, read_rows
from aedeploy.jobs.sinks.latents import LatentsSink

FORMATS = ("parquet", "npy", "safetensors", "tar")
CONTRACT = LatentsContract(
    bundle="b",
    bundle_digest="d",
    graph_format="onnx",
    shapes={"latent": [3], "indices": [2]},
    reading={"decode": "full", "resize": "fit"},
)


def sink(folder: Path, format: str = "parquet", dtype: str = "float32") -> LatentsSink:
    return LatentsSink(job_settings(folder, "encode", latent_format=format, latent_dtype=dtype), CONTRACT)


def arrays(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "pixels": np.zeros((rows, 8, 8, 1), np.uint8),
        "latent": random.normal(size=(rows, 3)).astype(np.float32),
        "indices": random.integers(0, 9, (rows, 2)),
    }


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_chunks_of_a_shard_become_one_file(tmp_path: Path, format: str, dtype: str) -> None:
    opened = sink(tmp_path, format, dtype)
    chunks = [chunk_of(["b.png", "ü/a.png"], **arrays(2, 1)), chunk_of([]), chunk_of(["a.png"], **arrays(1, 2))]
    latent = np.concatenate([arrays(2, 1)["latent"], arrays(1, 2)["latent"]])
    for chunk in chunks:
        opened.write(chunk)
    assert list(chunks[0].arrays) == ["latent", "indices"]  # the pixels are let go
    outputs = opened.commit(7, chunks)
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == {one.file: one.bytes for one in outputs}
    assert tuple(one.file for one in outputs) == opened.files(7)
    contract, paths = read_paths(tmp_path / outputs[-1].file)
    assert list(paths) == ["b.png", "ü/a.png", "a.png"]
    assert contract.dtype == dtype
    assert contract.reading == {"decode": "full", "resize": "fit"}
    rows = read_rows(tmp_path / outputs[-1].file, 0, 3)
    assert rows.dtype == np.float32
    assert (rows == latent.astype(dtype)).all()


def test_indices_stay_what_they_are(tmp_path: Path) -> None:
    chunk = chunk_of(["a"], **arrays(1))
    sink(tmp_path, dtype="float16").write(chunk)
    assert {name: str(array.dtype) for name, array in chunk.arrays.items()} == {"latent": "float16", "indices": "int64"}


@pytest.mark.parametrize("value", [65520.0, -1e6])
def test_a_row_that_float16_cannot_hold_fails_alone(tmp_path: Path, value: float) -> None:
    chunk = chunk_of(["a", "b", "c"], **arrays(3))
    chunk.arrays["latent"][1, 2] = value
    opened = sink(tmp_path, dtype="float16")
    opened.write(chunk)
    (failure,) = chunk.failures
    assert (failure.path, failure.reason) == (
        "b",
        "its latent goes beyond 65504, the largest float16: --dtype float32 holds it",
    )
    opened.commit(0, [chunk])
    assert list(read_paths(tmp_path / "part-00000.parquet")[1]) == ["a", "c"]


def test_the_largest_float16_is_held(tmp_path: Path) -> None:
    chunk = chunk_of(["a"], **arrays(1))
    chunk.arrays["latent"][0] = [65519.0, 1e-9, -65504.0]
    sink(tmp_path, dtype="float16").write(chunk)
    assert chunk.arrays["latent"].tolist() == [[65504.0, 0.0, -65504.0]]


@pytest.mark.parametrize("chunks", [[], [chunk_of([])]])
def test_of_no_rows_there_is_no_file(tmp_path: Path, chunks: list[Any]) -> None:
    opened = sink(tmp_path)
    for chunk in chunks:
        opened.write(chunk)
    assert opened.commit(0, chunks) == ()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_same_rows_give_the_same_bytes_however_they_were_cut(tmp_path: Path, format: str, dtype: str) -> None:
    content = []
    for name, cuts in (("one", [0, 5]), ("two", [0, 2, 5])):
        opened, values, chunks = sink(tmp_path / name, format, dtype), arrays(5), []
        for start, stop in pairwise(cuts):
            part = {key: array[start:stop] for key, array in values.items()}
            chunks.append(chunk_of([f"{number}.png" for number in range(start, stop)], **part))
            opened.write(chunks[-1])
        outputs = opened.commit(0, chunks)
        content.append([(tmp_path / name / one.file).read_bytes() for one in outputs])
    assert content[0] == content[1]


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path, format: str) -> None:
    opened = sink(tmp_path / "out", format)
    chunk = chunk_of(["a"], **arrays(1))
    opened.write(chunk)
    (tmp_path / "out" / opened.files(0)[-1]).mkdir()  # in the way, whoever runs this
    with pytest.raises(OSError, match="directory"):
        opened.commit(0, [chunk])
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_float16_costs_half(tmp_path: Path) -> None:
    sizes = []
    for dtype in ("float32", "float16"):
        opened = sink(tmp_path / dtype, "npy", dtype)
        chunk = chunk_of([str(number) for number in range(1000)], **arrays(1000))
        opened.write(chunk)
        opened.commit(0, [chunk])
        sizes.append((tmp_path / dtype / "latent-00000.npy").stat().st_size - 128)
        assert open_latents(tmp_path / dtype / "latent-00000.npy").latents(3, 4).dtype == np.float32
    assert sizes == [12000, 6000]
