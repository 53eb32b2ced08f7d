from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aedeploy.errors import ConfigError
from aedeploy.jobs.latents import (
    LatentsContract,
    is_latents,
    latents_files,
    open_latents,
    read_paths,
    read_rows,
    write_latents,
)

FORMATS = ("parquet", "npy", "safetensors")


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
    written.write_bytes(written.read_bytes()[:-20])
    with pytest.raises(ConfigError, match="cannot be read as latents"):
        open_latents(written)


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
    newer = replace(contract(2), version=2)
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
