"""Latents as files. Every format holds the rows' paths, all outputs of the encoder, and whose latents they are.

parquet       part-00000.parquet: columns ``path`` (string), ``latent`` (fixed-size list of float32), and what else
              the encoder gives; the schema's metadata has the contract as JSON under ``aedeploy``
npy           latent-00000.npy, logvar-00000.npy, …, and latent-00000.json: ``{"contract": …, "paths": […]}``
safetensors   latents-00000.safetensors: one tensor an output; the metadata has ``{"contract": …, "paths": […]}``
                  as JSON under ``aedeploy``
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from aedeploy.errors import ConfigError
from aedeploy.files import write_bytes, write_text
from aedeploy.jobs.spec import LatentFormat

_KEY = "aedeploy"

# Of a row group: what a reader of a few rows reads for nothing.
_GROUP_BYTES = 4 * 2**20


@dataclass(frozen=True, kw_only=True)
class LatentsContract:
    """Whose latents a file holds."""

    bundle: str
    bundle_digest: str
    graph_format: str | None  # of the encoder that made them; None: the weights themselves
    shapes: Mapping[str, Sequence[int]]  # of one row, by output; ``latent`` is what a decoder takes
    version: int = 1


class LatentsFile(Protocol):
    """An opened file of latents."""

    contract: LatentsContract

    def paths(self) -> Sequence[Any]:
        """The path of every row; whether they are paths is for the caller to check. Reads all that has checksums."""
        ...

    def latents(self, start: int, stop: int) -> np.ndarray:
        """Rows [start, stop) as float32 [rows, *shape]; a missing row is NaN."""
        ...


def write_latents(
    folder: Path,
    number: int,
    format: LatentFormat,
    contract: LatentsContract,
    paths: Sequence[str],
    outputs: Mapping[str, np.ndarray],
) -> Path:
    """Write rows [N, …] of every output as file ``number``, atomically, and give the file that decode reads.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    files = [folder / name for name in latents_files(format, number, outputs)]
    _WRITERS[format](files, contract, paths, outputs)
    return files[-1]


def open_latents(path: Path) -> LatentsFile:
    """Open a file that ``encode`` wrote, of any format.

    Raises:
        ConfigError: it is of no known format, cannot be read, or has no aedeploy contract.
    """
    opener = _OPENERS.get(path.suffix)
    if opener is None:
        raise ConfigError(f"{path} holds no latents by its name: known are {', '.join(_OPENERS)}.")
    with _told(path):
        return opener(path)


def read_paths(path: Path) -> tuple[LatentsContract, Sequence[Any]]:
    """Whose latents a file holds, and the path of every row, from a file that is whole.

    Raises:
        ConfigError: as :func:`open_latents`, or something in it is damaged.
    """
    opened = open_latents(path)
    with _told(path):
        return opened.contract, opened.paths()


def read_rows(path: Path, start: int, stop: int) -> np.ndarray:
    """Rows [start, stop) of a file as float32 [rows, *shape]; a missing row is NaN.

    Raises:
        ConfigError: as :func:`read_paths`.
    """
    opened = open_latents(path)
    with _told(path):
        return opened.latents(start, stop)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with a file."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # pyarrow, safetensors, numpy and json raise errors of their own for a broken file
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as latents ({reason}): encode the images again.") from None


def is_latents(name: str) -> bool:
    """Whether a file is one that :func:`open_latents` opens, by its name. A .npy is found through its index."""
    return name.endswith((".parquet", ".safetensors")) or (name.startswith("latent-") and name.endswith(".json"))


def latents_files(format: LatentFormat, number: int, outputs: Iterable[str]) -> tuple[str, ...]:
    """The names of all files that :func:`write_latents` writes as file ``number``; last the one that decode reads."""
    if format == "npy":
        return (*(f"{name}-{number:05d}.npy" for name in outputs), f"latent-{number:05d}.json")
    return (f"part-{number:05d}.parquet" if format == "parquet" else f"latents-{number:05d}.safetensors",)


def _contract_of(values: Mapping[str, Any] | None, path: Path) -> LatentsContract:
    if not values:
        raise ConfigError(f"{path} does not say which bundle made it: decode reads what  aedeploy encode  wrote.")
    if values["version"] != 1:
        raise ConfigError(f"{path} was written by a newer release of aedeploy: upgrade.")
    return LatentsContract(**values)


def _write_parquet(
    files: Sequence[Path], contract: LatentsContract, paths: Sequence[str], outputs: Mapping[str, np.ndarray]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"path": pa.array(paths, pa.string())}
    for name, array in outputs.items():
        flat = np.ascontiguousarray(array.reshape(len(array), -1))
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(asdict(contract))})
    row_bytes = sum(array[0].nbytes for array in outputs.values())
    # In memory first, here and below: what a full disk says is then the system's own word.
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
    write_bytes(files[-1], memoryview(stream.getvalue()))


class ParquetLatents:
    """Latents in Parquet. Any number of row groups, so that a file that somebody merged is read too."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        self._file = pq.ParquetFile(path, page_checksum_verification=True)
        schema = self._file.schema_arrow
        self.contract = _contract_of(json.loads((schema.metadata or {}).get(_KEY.encode(), "null")), path)
        width = int(np.prod(self.contract.shapes["latent"]))
        if "path" not in schema.names or "latent" not in schema.names:
            raise ConfigError(f"{path} has no columns path and latent: it is not as  aedeploy encode  wrote it.")
        if schema.field("latent").type != pa.list_(pa.float32(), width):
            raise ConfigError(f"{path} has latents of type {schema.field('latent').type}, not of {width} float32 each.")

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
                parts.append(_rows_of(column, shape)[max(0, start - first) : stop - first])
            first += rows
        return np.concatenate(parts) if parts else np.zeros((0, *shape), np.float32)


def _rows_of(column: Any, shape: tuple[int, ...]) -> np.ndarray:
    if column.null_count == 0:
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return cast(np.ndarray, flat).reshape(-1, *shape)
    width = int(np.prod(shape))
    return np.array([row if row is not None else [np.nan] * width for row in column.to_pylist()], np.float32).reshape(
        -1, *shape
    )


def _write_npy(
    files: Sequence[Path], contract: LatentsContract, paths: Sequence[str], outputs: Mapping[str, np.ndarray]
) -> None:
    for file, array in zip(files[:-1], outputs.values(), strict=True):
        stream = io.BytesIO()
        np.save(stream, array)
        write_bytes(file, stream.getbuffer())
    # The index last: where it is, the arrays are.
    write_text(files[-1], json.dumps({"contract": asdict(contract), "paths": list(paths)}, ensure_ascii=False) + "\n")


class NpyLatents:
    """Latents in a .npy file beside their index."""

    def __init__(self, path: Path) -> None:
        index = json.loads(path.read_bytes())
        self.contract = _contract_of(index.get("contract"), path)
        self._paths: list[Any] = index["paths"]
        self._array = np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        _check_array(path, self._array.shape, str(self._array.dtype), self.contract, len(self._paths))

    def paths(self) -> Sequence[Any]:
        return self._paths

    def latents(self, start: int, stop: int) -> np.ndarray:
        return np.array(self._array[start:stop])


def _write_safetensors(
    files: Sequence[Path], contract: LatentsContract, paths: Sequence[str], outputs: Mapping[str, np.ndarray]
) -> None:
    from safetensors.numpy import save

    # One key: safetensors writes several in an order that changes from run to run.
    index = json.dumps({"contract": asdict(contract), "paths": list(paths)}, ensure_ascii=False)
    write_bytes(files[-1], save({name: np.ascontiguousarray(array) for name, array in outputs.items()}, {_KEY: index}))


class SafetensorsLatents:
    """Latents in a safetensors file."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        opened: Any = safe_open(path, "numpy")
        index = json.loads((opened.metadata() or {}).get(_KEY, "{}"))
        self.contract = _contract_of(index.get("contract"), path)
        self._paths: list[Any] = index["paths"]
        self._slice = opened.get_slice("latent")
        dtype = {"F32": "float32"}.get(self._slice.get_dtype(), self._slice.get_dtype())
        _check_array(path, tuple(self._slice.get_shape()), dtype, self.contract, len(self._paths))

    def paths(self) -> Sequence[Any]:
        return self._paths

    def latents(self, start: int, stop: int) -> np.ndarray:
        return np.array(self._slice[start:stop])


def _check_array(path: Path, shape: tuple[int, ...], dtype: str, contract: LatentsContract, rows: int) -> None:
    if dtype != "float32" or shape != (rows, *contract.shapes["latent"]):
        raise ConfigError(
            f"{path} has latents {dtype} {list(shape)}, and its contract says float32 "
            f"{[rows, *contract.shapes['latent']]}: encode the images again."
        )


Writer = Callable[[Sequence[Path], LatentsContract, Sequence[str], Mapping[str, np.ndarray]], None]
_WRITERS: dict[LatentFormat, Writer] = {
    "parquet": _write_parquet,
    "npy": _write_npy,
    "safetensors": _write_safetensors,
}
_OPENERS: dict[str, Callable[[Path], LatentsFile]] = {
    ".parquet": ParquetLatents,
    ".json": NpyLatents,
    ".npy": lambda path: NpyLatents(path.with_suffix(".json")),
    ".safetensors": SafetensorsLatents,
}
