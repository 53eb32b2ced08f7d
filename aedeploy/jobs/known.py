"""What the ledgers know of every input, to be asked of a million of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aedeploy.jobs.ledger import Record, unpacked
from aedeploy.jobs.spec import Source


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the ledgers know of some inputs, one element each."""

    known: np.ndarray  # bool
    ok: np.ndarray  # bool
    same: np.ndarray  # bool: size and stamp are as they were
    bytes: np.ndarray  # int64, as they were
    digest: np.ndarray  # uint64, 0 where none is known
    shard: np.ndarray  # int64


class Known:
    """Every input that a ledger knows, by the hash of its path: 41 bytes an input, whatever its path's length.

    The hash has 64 bits and lives in this process only. Two paths that share one, once in 10¹³ pairs, are found by
    their sizes and times: one of them is then said to have changed.
    """

    def __init__(self, record: Record | None) -> None:
        parts: dict[str, list[np.ndarray]] = {name: [] for name in ("key", "bytes", "stamp", "digest", "ok", "shard")}
        for shard in record.shards if record else ():
            paths, sizes, stamps, digests = unpacked(shard.packed)
            failed = {failure.path for failure in shard.failures}
            parts["key"].append(_keys(paths))
            parts["bytes"].append(np.array(sizes, np.int64))
            parts["stamp"].append(_stamps(stamps))
            parts["digest"].append(np.array([int(digest or "0", 16) for digest in digests], np.uint64))
            parts["ok"].append(np.array([path not in failed for path in paths], bool))
            parts["shard"].append(np.full(len(paths), shard.number, np.int64))
        columns = {name: np.concatenate(arrays) if arrays else np.zeros(0) for name, arrays in parts.items()}
        # Stable, so that of equal keys the latest is the last.
        order = np.argsort(columns["key"], kind="stable")
        self._columns = {name: column[order] for name, column in columns.items()}

    def __len__(self) -> int:
        return len(self._columns["key"])

    def latest(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every input, once: whether it is ok (bool), and the shard that dealt with it last (int64)."""
        keys = self._columns["key"]
        last = np.append(keys[1:] != keys[:-1], np.ones(min(1, len(keys)), bool))
        return self._columns["ok"][last].astype(bool), self._columns["shard"][last].astype(np.int64)

    def standing(self, sources: Sequence[Source]) -> Standing:
        """What is known of some inputs."""
        keys = _keys([source.path for source in sources])
        sizes = np.array([source.bytes for source in sources], np.int64)
        stamps = _stamps([source.stamp for source in sources])
        if len(self) == 0:
            none = np.zeros(len(sources), bool)
            zeros = np.zeros(len(sources), np.int64)
            return Standing(known=none, ok=none, same=none, bytes=zeros, digest=zeros.astype(np.uint64), shard=zeros)
        last = np.searchsorted(self._columns["key"], keys, side="right") - 1
        found = {name: column[np.maximum(last, 0)] for name, column in self._columns.items()}
        known = (last >= 0) & (found["key"] == keys)
        return Standing(
            known=known,
            ok=known & found["ok"],
            same=known & (found["bytes"] == sizes) & (found["stamp"] == stamps),
            bytes=found["bytes"],
            digest=found["digest"],
            shard=found["shard"],
        )


def _stamps(stamps: Sequence[int]) -> np.ndarray:
    # Nanoseconds of a file that says it is of the year 2300 have more than 63 bits.
    return np.array([stamp & (2**63 - 1) for stamp in stamps], np.int64)


def _keys(paths: Sequence[str]) -> np.ndarray:
    return np.fromiter((hash(path) for path in paths), np.int64, len(paths))
