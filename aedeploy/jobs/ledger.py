"""What is done and what failed, in ``OUT/.aedeploy/ledger.jsonl``: append-only, one line a shard.

The first line says what job it is and its fingerprint. A run whose shards have files of their own begins with their
names, ``{"begun": [file, …]}``, so that what a killed run left is known as ours. Each other line is a finished shard,
written after its outputs are in place: ``{"shard": 3, "outputs": [{"file", "bytes"}, …], "inputs": [[path, bytes,
mtime_ns], …], "failures": [[path, reason], …]}``. Of an input in several lines, the last counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aedeploy.errors import JobError
from aedeploy.jobs.spec import Output, ShardReport

LEDGER_FILE = Path(".aedeploy") / "ledger.jsonl"
_VERSION = 1
_BLOCK = 2**16


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the ledger knows of one input."""

    bytes: int
    mtime_ns: int
    ok: bool
    shard: int


@dataclass(kw_only=True)
class Record:
    """A ledger as it was read."""

    fingerprint: Mapping[str, Any]
    entries: dict[str, Entry] = field(default_factory=dict)
    outputs: dict[int, tuple[Output, ...]] = field(default_factory=dict)  # of every shard
    files: set[str] = field(default_factory=set)  # all that a run wrote, or was about to write, in the output folder


def read_ledger(output: Path) -> Record | None:
    """What an earlier run left in ``output``, or None where none did.

    Raises:
        JobError: the ledger cannot be read. A last line that a killed process had not finished is left out.
    """
    path = output / LEDGER_FILE
    if not path.exists():
        return None
    lines = _lines(path)
    try:
        header = next(lines)
        if header["aedeploy_ledger"] != _VERSION:
            raise JobError(f"{path} is of another release of aedeploy: use that one, or --overwrite to start again.")
        record = Record(fingerprint=header["fingerprint"])
        for line in lines:
            _add(record, line)
    except StopIteration:
        return None
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise JobError(
            f"{path} is damaged ({error!r}): pass --overwrite to start again, or name another folder."
        ) from None
    return record


def ledger_state(output: Path) -> tuple[int, int] | None:
    """What changes whenever anybody writes to the ledger in ``output``; None while there is nothing in it."""
    try:
        status = (output / LEDGER_FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_size, status.st_mtime_ns) if status.st_size else None


def _lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _add(record: Record, line: Mapping[str, Any]) -> None:
    if "begun" in line:
        record.files.update(line["begun"])
        return
    failed = {path for path, _ in line["failures"]}
    for path, size, mtime_ns in line["inputs"]:
        record.entries[path] = Entry(bytes=size, mtime_ns=mtime_ns, ok=path not in failed, shard=line["shard"])
    record.outputs[line["shard"]] = tuple(Output(**output) for output in line["outputs"])


class LedgerWriter:
    """The ledger, held by one process at a time.

    Raises:
        JobError: another process has it.
        OSError: it cannot be written; what was in it before is still there and whole.
    """

    def __init__(self, output: Path) -> None:
        path = output / LEDGER_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._lock(output)
        except BaseException:
            os.close(self._file)
            raise

    def begin(self, fingerprint: Mapping[str, Any], files: Sequence[str] = (), *, restart: bool = False) -> None:
        """Go on where an earlier run ended, or start: always, with ``restart``. ``files`` are about to be written."""
        if restart:
            os.ftruncate(self._file, 0)
        self._drop_unfinished_line()
        if os.fstat(self._file).st_size == 0:
            self._append({"aedeploy_ledger": _VERSION, "fingerprint": dict(fingerprint)})
        if files:
            self._append({"begun": list(files)})

    def add(self, report: ShardReport) -> None:
        """Commit a shard: on the disk when this returns."""
        self._append(
            {
                "shard": report.number,
                "outputs": [asdict(output) for output in report.outputs],
                "inputs": [[source.path, source.bytes, source.mtime_ns] for source in report.processed],
                "failures": [[failure.path, failure.reason] for failure in report.failures],
            }
        )

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, value: Mapping[str, Any]) -> None:
        # In ASCII: a path that is not UTF-8 is then written too, and read back as it was.
        line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        size = os.lseek(self._file, 0, os.SEEK_END)
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            raise

    def _drop_unfinished_line(self) -> None:
        """Cut off what a killed process had written of its last line."""
        end = os.fstat(self._file).st_size
        while end > 0:
            start = max(0, end - _BLOCK)
            os.lseek(self._file, start, os.SEEK_SET)
            newline = os.read(self._file, end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        os.ftruncate(self._file, end)

    def _lock(self, output: Path) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: whoever starts two jobs on one folder there is not stopped
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise JobError(f"Another job is writing to {output}: wait for it to end, or name another folder.") from None
