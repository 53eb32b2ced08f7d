"""The one unit of work: ``run_shard(spec) → report``.

Pure in what matters: the same spec gives the same bytes, whoever runs it and however often. Outputs appear by
atomic rename, all of them before the report that says so; a shard that is killed is simply run again.

What a job does is in the file of its name, as

    ROLE                                        the graph that it runs
    class Work(settings, codec)
        shard_images: int                       how many inputs make a shard, about
        sink: Sink                              where its outputs go
        chunk(sources, gate, seconds) → Chunk   read, run, and write what has a file of its own
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Protocol

from aedeploy.errors import BackendError, JobError
from aedeploy.jobs import decode, denoise, encode, reconstruct
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.opening import open_codec
from aedeploy.jobs.sinks import Sink
from aedeploy.jobs.spec import Failure, Member, Output, Settings, ShardReport, ShardSpec, Source, StageSeconds

JOBS = {"encode": encode, "decode": decode, "reconstruct": reconstruct, "denoise": denoise}


class Work(Protocol):
    """What a job does, opened: see above."""

    shard_images: int
    sink: Sink

    def chunk(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk: ...


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who works on a shard. Without an executor: this thread, one chunk after the other."""

    executor: Executor | None = None
    gate: ReadingGate = field(default_factory=lambda: ReadingGate(1))
    seen: Callable[[Chunk, StageSeconds], None] = lambda chunk, seconds: None  # of any thread, after every chunk
    stop: threading.Event = field(default_factory=threading.Event)


@functools.lru_cache(maxsize=1)
def open_work(settings: Settings) -> Work:
    """Open the graph of a job, once a process.

    Raises:
        BundleError, BackendError, ConfigError, MissingDependencyError: it cannot run.
    """
    codec = open_codec(settings, settings.bundle, settings.bundle_digest)
    job = JOBS[settings.job]
    work: Work = job.Work(settings, codec)
    codec.open(job.ROLE)
    return work


def run_shard(spec: ShardSpec, crew: Crew | None = None) -> ShardReport:
    """Do one shard. What goes wrong with an input is its failure, and with the job the report's error."""
    task = _Task(open_work(spec.settings), crew or Crew(), spec)
    size = spec.batch_size
    parts = [spec.sources[start : start + size] for start in range(0, len(spec.sources), size)]
    chunks, error = task.one_by_one(parts) if task.crew.executor is None else task.side_by_side(parts)
    outputs: tuple[Output, ...] = ()
    began = time.perf_counter()
    try:
        outputs = task.work.sink.commit(spec.number, chunks)
    except OSError as problem:
        chunks, error = [], error or problem
    seconds = task.seconds
    seconds["write"] = seconds.get("write", 0.0) + time.perf_counter() - began
    return ShardReport(
        number=spec.number,
        members=tuple(member for chunk in chunks for member in chunk.members),
        failures=tuple(_sorted_failures(chunks)),
        outputs=outputs,
        seconds=seconds,
        notes=tuple(task.notes),
        error=error,
    )


class _Task:
    """A shard while it is done."""

    def __init__(self, work: Work, crew: Crew, spec: ShardSpec) -> None:
        self.work = work
        self.crew = crew
        self.seconds: StageSeconds = {}
        self.notes: list[str] = []
        self._most = spec.batch_size
        self._crashed = {failure.path: failure for failure in spec.crashed}
        self._lock = threading.Lock()

    def one_by_one(self, parts: Sequence[Sequence[Source]]) -> tuple[list[Chunk], Exception | None]:
        chunks: list[Chunk] = []
        try:
            for part in parts:
                if self.crew.stop.is_set():
                    break
                chunks += self._chunks(part)
        except Exception as error:  # whatever it is, what was finished is reported with it
            return chunks, error
        return chunks, None

    def side_by_side(self, parts: Sequence[Sequence[Source]]) -> tuple[list[Chunk], Exception | None]:
        assert self.crew.executor is not None
        futures: list[Future[list[Chunk]]] = [self.crew.executor.submit(self._unless_stopped, part) for part in parts]
        chunks, first = list[Chunk](), None
        for future in futures:
            try:
                chunks += future.result()
            except Exception as error:  # as above
                first = first or error
        return chunks, first

    def _unless_stopped(self, part: Sequence[Source]) -> list[Chunk]:
        if self.crew.stop.is_set():
            return []
        try:
            return self._chunks(part)
        except BaseException:
            self.crew.stop.set()
            raise

    def _chunks(self, part: Sequence[Source]) -> list[Chunk]:
        """The part as one chunk, or as several where memory does not suffice for it."""
        chunks: list[Chunk] = []
        waiting = [part]
        while waiting:
            now = waiting.pop(0)
            if len(now) > self._most:
                waiting[:0] = [now[: len(now) // 2], now[len(now) // 2 :]]
                continue
            seconds: StageSeconds = {}
            try:
                chunk = self._chunk(now, seconds)
            except (MemoryError, BackendError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(now) == 1:
                    raise JobError(
                        f"There is not enough memory for one image ({now[0].path}): "
                        "fewer --workers, or a smaller --tile, need less."
                    ) from error
                self._halve(len(now))
                waiting.insert(0, now)
                continue
            chunks.append(chunk)
            self._add(seconds)
            self.crew.seen(chunk, seconds)
        return chunks

    def _chunk(self, sources: Sequence[Source], seconds: StageSeconds) -> Chunk:
        """Cut as ever, so that what crashes changes nothing of the others."""
        left = [source for source in sources if source.path not in self._crashed] if self._crashed else sources
        chunk = self.work.chunk(left, self.crew.gate, seconds) if left else Chunk(members=[], rows=[])
        for place, source in enumerate(sources) if self._crashed else ():
            if source.path in self._crashed:
                member = Member(path=source.path, bytes=source.bytes, stamp=source.stamp, digest="")
                chunk.members.insert(place, member)
                chunk.failures.append(self._crashed[source.path])
        return chunk

    def _halve(self, images: int) -> None:
        with self._lock:
            if images <= self._most:
                self._most = max(1, images // 2)
                self.notes.append(
                    f"Memory did not suffice for {images} images at a time: it goes on with {self._most}; "
                    f"--batch-size {self._most} does so from the beginning."
                )

    def _add(self, seconds: StageSeconds) -> None:
        with self._lock:
            for stage, spent in seconds.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of this machine or of a device."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or any(
        sign in words for sign in ("out of memory", "failed to allocate", "bad_alloc", "bad allocation")
    )


def _sorted_failures(chunks: Sequence[Chunk]) -> list[Failure]:
    return [failure for chunk in chunks for failure in sorted(chunk.failures, key=lambda failure: failure.path)]
