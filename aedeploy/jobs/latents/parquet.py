"""Latents as Parquet: columns ``path`` (string), ``latent`` (fixed-size list), and what else the encoder gives.

The schema's metadata has the contract as JSON under ``aedeploy``; every page has a checksum.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np

from aedeploy.errors import ConfigError
from aedeploy.jobs.latents.contract import KEY, LatentsContract, contract_of

# Of a row group: what a reader of a few rows reads for nothing.
_GROUP_BYTES = 4 * 2**20


def files(number: int, outputs: Iterable[str]) -> tuple[str, ...]:
    """See jobs/latents/__init__.py; so are the others."""
    return (f"part-{number:05d}.parquet",)


def contents(
    contract: LatentsContract, paths: Sequence[str], outputs: Mapping[str, np.ndarray]
) -> Iterator[bytes | memoryview]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"path": pa.array(paths, pa.string())}
    for name, array in outputs.items():
        flat = np.ascontiguousarray(array.reshape(len(array), -1))
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(asdict(contract))})
    row_bytes = sum(array[0].nbytes for array in outputs.values())
    # In memory first, as in the other formats: what a full disk says is then the system's own word.
    stream = pa.BufferOutputStream()
    pq.write_table(
        table,
        stream,
        row_group_size=max(1, _GROUP_BYTES // row_bytes),
        # Latents hardly repeat: a dictionary of them, or compression, costs time and saves nothing.
        use_dictionary=False,
        compression={"path": "zstd"} | dict.fromkeys(outputs, "none"),
        write_page_checksum=True,
    )
    yield memoryview(stream.getvalue())


class Opened:
    """Any number of row groups, so that a file that somebody merged is read too."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        self._file = pq.ParquetFile(path, page_checksum_verification=True)
        schema = self._file.schema_arrow
        self.contract = contract_of(json.loads((schema.metadata or {}).get(KEY.encode(), "null")), path)
        width = int(np.prod(self.contract.shapes["latent"]))
        if "path" not in schema.names or "latent" not in schema.names:
            raise ConfigError(f"{path} has no columns path and latent: it is not as  aedeploy encode  wrote it.")
        # Either, whatever the contract says: who merged files may have widened them.
        if schema.field("latent").type not in (pa.list_(pa.float32(), width), pa.list_(pa.float16(), width)):
            raise ConfigError(
                f"{path} has latents of type {schema.field('latent').type}, not of {width} float32 or float16 each."
            )

    def paths(self) -> Sequence[Any]:
        paths: list[Any] = []
        for group in range(self._file.num_row_groups):
            # The latents are let go: damage in them is to be known before anything is made of the others.
            paths += self._file.read_row_group(group, columns=["path", "latent"])["path"].to_pylist()
        return paths

    def latents(self, start: int, stop: int) -> np.ndarray:
        shape = tuple(self.contract.shapes["latent"])
        parts, first = [], 0
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if first < stop and start < first + rows:
                column = self._file.read_row_group(group, columns=["latent"])["latent"].combine_chunks()
                parts.append(_rows_of(column, shape)[max(0, start - first) : stop - first].astype(np.float32))
            first += rows
        return np.concatenate(parts) if parts else np.zeros((0, *shape), np.float32)


def _rows_of(column: Any, shape: tuple[int, ...]) -> np.ndarray:
    if column.null_count == 0:
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return cast(np.ndarray, flat).reshape(-1, *shape)
    width = int(np.prod(shape))
    rows = [row if row is not None else [np.nan] * width for row in column.to_pylist()]
    return np.array(rows, np.float32).reshape(-1, *shape)
