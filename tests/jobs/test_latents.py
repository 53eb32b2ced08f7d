from __future__ import annotations

import json
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from aedeploy.errors import ConfigError
from aedeploy.files import sha256_of
from aedeploy.jobs.latents import (
    LatentsContract,
    is_latents,
    latents_files,
    open_latents,
    read_paths,
    read_rows,
    write_latents,
)

FORMATS = ("parquet", "npy", "safetensors", "tar")


def contract(*shape: int) -> LatentsContract:
    return LatentsContract(
        bundle="b", bundle_digest="d", graph_format="onnx", shapes={"latent": shape, "logvar": shape}
    )


@pytest.mark.parametrize("format", FORMATS)
@given(rows=st.integers(1, 6), shape=st.sampled_from([(3,), (2, 2, 2)]), number=st.integers(0, 200_000), data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_reads_back(
    tmp_path: Path, format: str, rows: int, shape: tuple[int, ...], number: int, data: st.DataObject
) -> None:
    paths = data.draw(st.lists(st.text(min_size=1), min_size=rows, max_size=rows))
    latent = np.random.default_rng(number).normal(size=(rows, *shape)).astype(np.float32)
    outputs = {"latent": latent, "logvar": -latent}
    written = write_latents(tmp_path, number, format, contract(*shape), paths, outputs)  # type: ignore[arg-type]
    assert is_latents(written.name)
    assert latents_files(format, number, outputs)[-1] == written.name  # type: ignore[arg-type]
    opened = open_latents(written)
    assert opened.paths() == paths
    assert list(opened.contract.shapes["latent"]) == list(shape)
    assert (opened.latents(0, rows) == latent).all()
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start, rows))
    assert (opened.latents(start, stop) == latent[start:stop]).all()


def test_rows_are_found_across_row_groups(tmp_path: Path) -> None:
    latent = np.arange(20, dtype=np.float32).reshape(10, 2)
    written = write_latents(tmp_path, 0, "parquet", contract(2), [str(n) for n in range(10)], {"latent": latent})
    merged = tmp_path / "merged.parquet"
    pq.write_table(pq.read_table(written), merged, row_group_size=3)
    opened = open_latents(merged)
    for start, stop in [(0, 10), (2, 4), (3, 6), (5, 9), (9, 10), (4, 4)]:
        assert (opened.latents(start, stop) == latent[start:stop]).all()


def test_a_missing_row_is_nan(tmp_path: Path) -> None:
    written = write_latents(tmp_path, 0, "parquet", contract(2), ["a", "b"], {"latent": np.ones((2, 2), np.float32)})
    table = pq.read_table(written)
    column = pa.array([None, [1.0, 2.0]], pa.list_(pa.float32(), 2))
    pq.write_table(table.set_column(1, "latent", column), written)
    rows = open_latents(written).latents(0, 2)
    assert np.isnan(rows[0]).all()
    assert rows[1].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, format: str) -> None:
    outputs = {"latent": np.ones((2, 2), np.float32)}
    written = write_latents(tmp_path, 0, format, contract(2), ["a", "b"], outputs)  # type: ignore[arg-type]
    # A tar ends with zeros, and is read up to where its latents are.
    written.write_bytes(written.read_bytes()[: -20 if format != "tar" else -10_000])
    with pytest.raises(ConfigError, match="cannot be read as latents"):
        read_paths(written)


def test_an_array_of_another_shape_than_its_contract_is_refused(tmp_path: Path) -> None:
    write_latents(tmp_path, 0, "npy", contract(2), ["a", "b"], {"latent": np.ones((2, 2), np.float32)})
    np.save(tmp_path / "latent-00000.npy", np.ones((2, 3), np.float32))
    with pytest.raises(ConfigError, match=r"float32 \[2, 3\], and its contract says float32 \[2, 2\]"):
        open_latents(tmp_path / "latent-00000.json")


def test_no_pickle_is_ever_loaded(tmp_path: Path) -> None:
    write_latents(tmp_path, 0, "npy", contract(2), ["a", "b"], {"latent": np.ones((2, 2), np.float32)})
    np.save(tmp_path / "latent-00000.npy", np.array([{"a": 1}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(ConfigError, match="cannot be read as latents"):
        open_latents(tmp_path / "latent-00000.json")


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no latents by its name"):
        open_latents(tmp_path / "latents.csv")
    assert not is_latents("settings.json")


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_said_to_be_written_is_what_is_written(tmp_path: Path, format: str) -> None:
    outputs = {name: np.ones((1, 2), np.float32) for name in ("latent", "logvar")}
    write_latents(tmp_path, 3, format, contract(2), ["a"], outputs)  # type: ignore[arg-type]
    files = latents_files(format, 3, outputs)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


@pytest.mark.parametrize("part", ["latent", "path"])
def test_parquet_with_one_byte_altered_is_refused(tmp_path: Path, part: str) -> None:
    latent = np.full((2, 3), 1.5, np.float32)
    written = write_latents(tmp_path, 0, "parquet", contract(3), ["a", "b"], {"latent": latent})
    column = pq.ParquetFile(written).metadata.row_group(0).column(0 if part == "path" else 1)
    content = bytearray(written.read_bytes())
    # The last byte of the column's data: no header, no length.
    content[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1] ^= 1
    written.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot be read as latents \(.*(checksum|CRC)") as told:
        read_paths(written)
    assert "\n" not in str(told.value)
    if part == "latent":
        with pytest.raises(ConfigError, match="cannot be read as latents"):
            read_rows(written, 0, 2)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_of_a_newer_release_is_told(tmp_path: Path, format: str) -> None:
    newer = replace(contract(2), version=3)
    outputs = {"latent": np.ones((1, 2), np.float32)}
    written = write_latents(tmp_path, 0, format, newer, ["a"], outputs)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="newer release of aedeploy: upgrade"):
        open_latents(written)


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_rows_give_the_same_bytes(tmp_path: Path, format: str) -> None:
    outputs = {"latent": np.ones((2, 2), np.float32)}
    written = [
        write_latents(folder, 0, format, contract(2), ["a", "b"], outputs)  # type: ignore[arg-type]
        for folder in (tmp_path / "1", tmp_path / "2")
        if folder.mkdir() is None
    ]
    assert written[0].read_bytes() == written[1].read_bytes()


@pytest.mark.parametrize("format", ["npy", "safetensors", "tar"])
@pytest.mark.parametrize("part", ["latent", "paths"])
def test_one_byte_altered_is_refused(tmp_path: Path, format: str, part: str) -> None:
    latent = np.full((3, 2), 1.5, np.float32)
    written = write_latents(tmp_path, 0, format, contract(2), ["one", "two", "three"], {"latent": latent})  # type: ignore[arg-type]
    altered = written.with_suffix(".npy") if format == "npy" and part == "latent" else written
    content = bytearray(altered.read_bytes())
    content[content.rindex(latent[2].tobytes()) if part == "latent" else content.index(b"two")] ^= 1
    altered.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"cannot be read as latents \(the checksum of its {part} is wrong\)"):
        read_paths(written)


def test_a_checksum_that_is_missing_is_no_checksum_that_fits(tmp_path: Path) -> None:
    written = write_latents(tmp_path, 0, "npy", contract(2), ["a"], {"latent": np.ones((1, 2), np.float32)})
    index = json.loads(written.read_text())
    del index["sha256"]
    written.write_text(json.dumps(index))
    with pytest.raises(ConfigError, match="cannot be read as latents"):
        read_paths(written)


def test_checksums_of_npy_are_those_of_the_files(tmp_path: Path) -> None:
    outputs = {name: np.ones((1, 2), np.float32) for name in ("latent", "logvar")}
    written = write_latents(tmp_path, 0, "npy", contract(2), ["a"], outputs)
    digests = json.loads(written.read_text())["sha256"]
    for name in outputs:
        assert digests[name] == sha256_of(tmp_path / f"{name}-00000.npy")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 3)])
def test_float16_is_read_as_float32(tmp_path: Path, format: str, shape: tuple[int, ...]) -> None:
    latent = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float16)
    half = replace(contract(*shape), dtype="float16", reading={"decode": "full", "resize": "exact"})
    written = write_latents(tmp_path, 0, format, half, list("abcde"), {"latent": latent})  # type: ignore[arg-type]
    rows = read_rows(written, 1, 4)
    assert rows.dtype == np.float32
    assert (rows == latent[1:4]).all()
    told, paths = read_paths(written)
    assert list(paths) == list("abcde")
    assert (told.dtype, told.reading) == ("float16", {"decode": "full", "resize": "exact"})


@pytest.mark.parametrize("format", ["npy", "safetensors"])
def test_an_array_of_another_dtype_than_its_contract_is_refused(tmp_path: Path, format: str) -> None:
    outputs = {"latent": np.ones((1, 2), np.float16)}
    written = write_latents(tmp_path, 0, format, contract(2), ["a"], outputs)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"latents float16 .*, and its contract says float32"):
        open_latents(written)


def write_as_version_1(folder: Path, format: str, paths: list[str], latent: np.ndarray) -> Path:
    """A file as the release before wrote it."""
    now = replace(contract(*latent.shape[1:]), shapes={"latent": list(latent.shape[1:])}, version=1)
    old = {key: value for key, value in asdict(now).items() if key not in ("dtype", "reading")}
    if format == "npy":
        np.save(folder / "latent-00000.npy", latent)
        (folder / "latent-00000.json").write_text(json.dumps({"contract": old, "paths": paths}) + "\n")
        return folder / "latent-00000.json"
    if format == "safetensors":
        index = json.dumps({"contract": old, "paths": paths})
        save_file({"latent": latent}, folder / "latents-00000.safetensors", {"aedeploy": index})
        return folder / "latents-00000.safetensors"
    written = write_latents(folder, 0, "parquet", now, paths, {"latent": latent})
    pq.write_table(pq.read_table(written).replace_schema_metadata({"aedeploy": json.dumps(old)}), written)
    return written


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_files_of_the_release_before_are_read(tmp_path: Path, format: str) -> None:
    latent = np.arange(6, dtype=np.float32).reshape(3, 2)
    written = write_as_version_1(tmp_path, format, ["a", "b", "c"], latent)
    told, paths = read_paths(written)
    assert list(paths) == ["a", "b", "c"]
    assert (told.version, told.dtype, told.reading) == (1, "float32", None)
    assert (read_rows(written, 0, 3) == latent).all()


def test_tar_members_are_found_by_their_images_names(tmp_path: Path) -> None:
    paths = ["d.e/a.jpg", "d.e/a.png", "b.c.tar.gz", "b_c_tar.jpg", ".jpg", "photo"]
    outputs = {"latent": np.ones((6, 2), np.float32), "indices": np.zeros((6, 1), np.int64)}
    written = write_latents(tmp_path, 0, "tar", contract(2), paths, outputs)
    keys = ["d.e/a", "d.e/a~2", "b_c_tar", "b_c_tar~2", "_jpg", "photo"]
    with tarfile.open(written) as archive:
        members = archive.getmembers()
    names = [f"{key}.{name}.npy" for key in keys for name in outputs]
    assert [member.name for member in members] == ["__aedeploy__", *names]
    assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members} == {
        (0, 0, 0, "", 0o644)
    }


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its files open
def test_webdataset_reads_tar(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    latent = np.arange(6, dtype=np.float32).reshape(3, 2)
    outputs = {"latent": latent, "logvar": -latent}
    written = write_latents(tmp_path, 0, "tar", contract(2), ["d/a.jpg", "d/a.png", "x.y.jpg"], outputs)
    read = list(webdataset.WebDataset(str(written), shardshuffle=False).decode())
    assert [sample["__key__"] for sample in read] == ["d/a", "d/a~2", "x_y"]
    assert (np.stack([sample["latent.npy"] for sample in read]) == latent).all()
    assert (np.stack([sample["logvar.npy"] for sample in read]) == -latent).all()


def test_a_tar_of_somebody_else_is_told(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "latents-00000.tar", "w") as archive:
        archive.add(__file__, "a.py")
    with pytest.raises(ConfigError, match="does not begin with __aedeploy__"):
        open_latents(tmp_path / "latents-00000.tar")
    assert is_latents("latents-00000.tar")
    assert not is_latents("images-00000.tar")
