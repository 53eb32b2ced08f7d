"""Latents as tar: latents-00000.tar, as WebDataset reads it: ``a/b.latent.npy``, ``a/b.logvar.npy``, … of ``a/b.jpg``.

Its first member, ``__aedeploy__``, which WebDataset passes over, has as JSON ``{"contract": …, "paths": […],
"sha256": {…}, "offsets": […]}``: the checksum under ``latent`` is of all that follows that member, and the offsets,
where each row's latent begins, are counted from there.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.errors import ConfigError
from aedeploy.jobs.latents.contract import LatentsContract, index_of, new_index
from aedeploy.jobs.tarball import add_member, new_tar

_INDEX = "__aedeploy__"
_BLOCK_BYTES = 2**20


def files(number: int, outputs: Iterable[str]) -> tuple[str, ...]:
    return (f"latents-{number:05d}.tar",)


def contents(
    contract: LatentsContract, paths: Sequence[str], outputs: Mapping[str, np.ndarray]
) -> Iterator[bytes | memoryview]:
    body, offsets = io.BytesIO(), []
    with new_tar(body) as archive:
        for row, key in enumerate(_keys(paths)):
            for name, array in outputs.items():
                content = io.BytesIO()
                np.save(content, array[row])
                add_member(archive, f"{key}.{name}.npy", content.getvalue())
                if name == "latent":
                    # Where the archive is, less the padding, is the end of what was added.
                    end = archive.offset - (-len(content.getbuffer()) % tarfile.BLOCKSIZE)
                    offsets.append(end - array[row].nbytes)
    digest = hashlib.sha256(body.getbuffer()).hexdigest()
    index = new_index(contract, paths, {"latent": digest}, offsets).text()
    head = io.BytesIO()
    archive = new_tar(head)
    add_member(archive, _INDEX, index.encode())  # not closed: that would end the archive here
    yield head.getvalue() + body.getvalue()


def _keys(paths: Sequence[str]) -> Iterable[str]:
    """What WebDataset calls a row: its path without the extension. Dots in the name would end the key, and become
    '_'; a name that is taken gets a number.
    """
    taken: set[str] = set()
    for path in paths:
        folder, slash, name = path.rpartition("/")
        stem = name.rpartition(".")[0].replace(".", "_") or name.replace(".", "_")
        key, number = f"{folder}{slash}{stem}", 1
        while key in taken:
            number += 1
            key = f"{folder}{slash}{stem}~{number}"
        taken.add(key)
        yield key


class Opened:
    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as archive:
            member = archive.next()
            content = archive.extractfile(member) if member is not None and member.name == _INDEX else None
            if member is None or content is None:
                raise ConfigError(f"{path} does not begin with {_INDEX}: decode reads what  aedeploy encode  wrote.")
            self._index = index_of(content.read(), path)
        self._path = path
        self.contract = self._index.contract
        self._start = member.offset_data + member.size + -member.size % tarfile.BLOCKSIZE
        self._dtype = np.dtype(self.contract.dtype).newbyteorder("<")
        self._shape = tuple(self.contract.shapes["latent"])

    def paths(self) -> Sequence[Any]:
        digest = hashlib.sha256()
        with open(self._path, "rb") as stream:
            stream.seek(self._start)
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
        self._index.check("latent", digest.hexdigest())
        return self._index.checked_paths()

    def latents(self, start: int, stop: int) -> np.ndarray:
        count = int(np.prod(self._shape))
        rows = np.empty((max(0, stop - start), count), np.float32)
        with open(self._path, "rb") as stream:
            for row, offset in zip(rows, self._index.offsets[start:stop], strict=True):
                stream.seek(self._start + offset)
                row[:] = np.frombuffer(stream.read(count * self._dtype.itemsize), self._dtype)
        return rows.reshape(-1, *self._shape)
