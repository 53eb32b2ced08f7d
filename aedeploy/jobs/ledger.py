"""What is done and what failed, in ``OUT/.aedeploy/ledger.jsonl``: append-only, one line a shard.

The first line says what job it is, its fingerprint, what was asked for, and when (``at``, seconds since 1970). Before
a shard writes files of its own, its number is noted, ``{"begun": 3}``, so that what a killed run left is known as ours.
Each finished shard is a line, written after its outputs are on the disk: ``{"shard": 3, "at": …, "inputs": 256,
"outputs": [{"file", "bytes"}, …], "failures": [[path, reason], …], "members": …}``. ``members`` is zlib-compressed JSON
in base64, columns of ``path``, ``bytes``, ``stamp`` and ``digest``: about 28 bytes an input. A run that came to the end
of its inputs adds ``{"listed": {…}}``, its counts.

Of several processes at one output folder (``--shard i/n``) each has a ledger of its own, ``ledger-i-of-n.jsonl``;
whoever reads, reads all. Of an input in several lines, the latest counts.
"""

from __future__ import annotations

import base64
import heapq
import json
import os
import re
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aedeploy.errors import JobError
from aedeploy.jobs.spec import Failure, Member, Output, ShardReport

#: The folder in the output folder that is the job's own.
OWN_FOLDER = ".aedeploy"
LEDGER_FILE = Path(OWN_FOLDER) / "ledger.jsonl"
_NAMES = re.compile(r"ledger(-(\d+)-of-(\d+))?\.jsonl")
_VERSION = 2
_BLOCK = 2**16

#: One of n processes: which, and of how many.
Part = tuple[int, int]
WHOLE: Part = (0, 1)


def ledger_file(part: Part) -> Path:
    """The ledger of one of n processes, relative to the output folder."""
    return LEDGER_FILE if part[1] == 1 else LEDGER_FILE.with_name(f"ledger-{part[0]}-of-{part[1]}.jsonl")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A finished shard, as a ledger has it."""

    number: int
    at: float  # seconds since 1970
    inputs: int
    outputs: tuple[Output, ...]
    failures: tuple[Failure, ...]
    packed: str

    def members(self) -> list[Member]:
        """What the shard dealt with."""
        columns = unpacked(self.packed)
        return [
            Member(path=path, bytes=size, stamp=stamp, digest=digest)
            for path, size, stamp, digest in zip(*columns, strict=True)
        ]


@dataclass(kw_only=True)
class Record:
    """All ledgers of an output folder, as they were read."""

    fingerprint: Mapping[str, Any]
    request: Mapping[str, Any]
    began: float = 0.0  # seconds since 1970
    shards: list[Shard] = field(default_factory=list)  # in the order of their ends
    begun: dict[Part, set[int]] = field(default_factory=dict)  # numbers of shards, by the process that had them
    listed: dict[Part, dict[str, Any]] = field(default_factory=dict)  # counts of the last run that saw all inputs

    @property
    def outputs(self) -> dict[int, tuple[Output, ...]]:
        """The files of every shard."""
        return {shard.number: shard.outputs for shard in self.shards}

    def numbers(self) -> set[int]:
        """Of all shards that are finished or were begun."""
        return {shard.number for shard in self.shards}.union(*self.begun.values())


def read_ledgers(output: Path) -> Record | None:
    """What earlier runs left in ``output``, or None where none did.

    Raises:
        JobError: a ledger cannot be read. A last line that a killed process had not finished is left out.
    """
    record, shards = None, list[list[Shard]]()
    for path in ledger_paths(output):
        before = len(record.shards) if record else 0
        record = _read(path, record)
        shards += [record.shards[before:]] if record else []
    if record is not None:
        # By time, but those of one ledger in the order of its lines: a clock may have been set back.
        record.shards = list(heapq.merge(*shards, key=lambda shard: shard.at))
    return record


def ledger_paths(output: Path) -> list[Path]:
    """Every ledger in an output folder."""
    folder = output / OWN_FOLDER
    try:
        return sorted(folder / name for name in os.listdir(folder) if _NAMES.fullmatch(name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: Path, record: Record | None) -> Record | None:
    lines = _lines(path)
    try:
        header = next(lines)
        if header["aedeploy_ledger"] != _VERSION:
            raise JobError(f"{path} is of another release of aedeploy: use that one, or name another folder.")
        if record is None:
            record = Record(fingerprint=header["fingerprint"], request=header["request"], began=header.get("at", 0.0))
        elif record.fingerprint != header["fingerprint"]:
            raise JobError(f"{path} is of another job than the ledger beside it: name another folder.")
        match = _NAMES.fullmatch(path.name)
        assert match is not None
        part = (int(match[2]), int(match[3])) if match[1] else WHOLE
        for line in lines:
            _add(record, line, part)
    except StopIteration:
        return record
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise JobError(
            f"{path} is damaged ({error!r}), and nobody else knows which files are the job's: name another folder, "
            "or empty this one."
        ) from None
    return record


def ledger_state(output: Path, part: Part = WHOLE) -> tuple[int, int] | None:
    """What changes whenever anybody writes to that ledger in ``output``; None while there is nothing in it."""
    try:
        status = (output / ledger_file(part)).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_size, status.st_mtime_ns) if status.st_size else None


def _lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _add(record: Record, line: Mapping[str, Any], part: Part) -> None:
    if "begun" in line:
        record.begun.setdefault(part, set()).add(int(line["begun"]))
    elif "listed" in line:
        record.listed[part] = line["listed"]
    else:
        record.shards.append(
            Shard(
                number=int(line["shard"]),
                at=float(line["at"]),
                inputs=int(line["inputs"]),
                outputs=tuple(Output(**output) for output in line["outputs"]),
                failures=tuple(Failure(path=path, reason=reason) for path, reason in line["failures"]),
                packed=str(line["members"]),
            )
        )


def packed(members: Sequence[Member]) -> str:
    """Members as one word."""
    columns = [
        [member.path for member in members],
        [member.bytes for member in members],
        [member.stamp for member in members],
        [member.digest for member in members],
    ]
    # In ASCII: a path that is not UTF-8 is then written too, and read back as it was.
    return base64.b64encode(zlib.compress(json.dumps(columns, separators=(",", ":")).encode(), 1)).decode()


def unpacked(packed: str) -> tuple[list[str], list[int], list[int], list[str]]:
    """The columns of members: path, bytes, stamp, digest. JobError if it is none of ours."""
    try:
        paths, sizes, stamps, digests = json.loads(zlib.decompress(base64.b64decode(packed)))
    except (ValueError, zlib.error) as error:
        raise JobError(f"The ledger is damaged ({error}): name another folder, or empty this one.") from None
    return paths, sizes, stamps, digests


class LedgerWriter:
    """The ledger of one process, or of one of several, held while it is open.

    Raises:
        JobError: another process has it.
        OSError: it cannot be written; what was in it before is still there and whole.
    """

    def __init__(self, output: Path, part: Part = WHOLE) -> None:
        path = output / ledger_file(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._appending = threading.Lock()
        try:
            _lock(self._file, output)
        except BaseException:
            os.close(self._file)
            raise

    def begin(self, fingerprint: Mapping[str, Any], request: Mapping[str, Any], *, restart: bool = False) -> None:
        """Go on where an earlier run ended, or start: always, with ``restart``."""
        if restart:
            os.ftruncate(self._file, 0)
        self._drop_unfinished_line()
        if os.fstat(self._file).st_size == 0:
            header = {"aedeploy_ledger": _VERSION, "at": round(time.time(), 3)}
            self._append({**header, "fingerprint": dict(fingerprint), "request": dict(request)})

    def begun(self, number: int) -> None:
        """Say that the files of this shard are about to be written."""
        self._append({"begun": number})

    def add(self, report: ShardReport) -> None:
        """Commit a shard: on the disk when this returns."""
        self._append(
            {
                "shard": report.number,
                "at": round(time.time(), 3),
                "inputs": len(report.members),
                "outputs": [asdict(output) for output in report.outputs],
                "failures": [[failure.path, failure.reason] for failure in report.failures],
                "members": packed(report.members),
            }
        )

    def listed(self, counts: Mapping[str, Any]) -> None:
        """All inputs were seen."""
        self._append({"listed": dict(counts)})

    def close(self) -> None:
        with self._appending:  # a listing that goes on for a moment must not write to whatever has this number next
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, value: Mapping[str, Any]) -> None:
        line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        with self._appending:
            self._write(line)

    def _write(self, line: bytes) -> None:
        size = os.lseek(self._file, 0, os.SEEK_END)
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except BaseException:  # a second Ctrl-C too: half a line would spoil the one that follows
            os.ftruncate(self._file, size)
            raise

    def _drop_unfinished_line(self) -> None:
        """Cut off what a killed process had written of its last line."""
        size = end = os.fstat(self._file).st_size
        while end > 0:
            start = max(0, end - _BLOCK)
            os.lseek(self._file, start, os.SEEK_SET)
            newline = os.read(self._file, end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)


def is_held(path: Path) -> bool:
    """Whether a process that runs has this ledger."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        _lock(file, path, shared=True)  # over NFS a file that is open to be read can be locked in no other way
    except JobError:
        return True
    finally:
        os.close(file)
    return False


def _lock(file: int, output: Path, *, shared: bool = False) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: whoever starts two jobs on one folder there is not stopped
        return
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JobError(f"Another job is writing to {output}: wait for it to end, or name another folder.") from None
    except OSError:  # a file system without locks, such as Lustre mounted without them: as on Windows
        return
