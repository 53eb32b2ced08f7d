"""The one unit of work: ``run_shard(spec) → report``.

Pure in what matters: the same spec gives the same bytes, whoever runs it and however often. Outputs appear by
atomic rename, all of them before the report that says so; a shard that is killed is simply run again.

What a job does is in the file of its name, as

    ROLE                                   the graph that it runs
    class Work(settings, codec)
        shard_images: int                  how many inputs make a shard, about
        files(number) → names              what the commit of that shard writes, in the output folder
        chunk(sources, gate) → Chunk       read, run, and write what has a file of its own
        commit(number, chunks) → Outputs   write what the whole shard has together, if it has
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol

from aedeploy.bundle import open_bundle
from aedeploy.errors import JobError
from aedeploy.jobs import decode, denoise, encode, reconstruct
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.spec import Failure, Output, Settings, ShardReport, ShardSpec, Source
from aedeploy.runtime.codec import Codec

JOBS = {"encode": encode, "decode": decode, "reconstruct": reconstruct, "denoise": denoise}


class Work(Protocol):
    """What a job does, opened: see above."""

    shard_images: int

    def files(self, number: int) -> tuple[str, ...]: ...
    def chunk(self, sources: Sequence[Source], gate: ReadingGate) -> Chunk: ...
    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]: ...


class Crew:
    """The threads that a shard may use, and the word to stop."""

    def __init__(self, executor: Executor, threads: int, seen: Callable[[Chunk], None], stop: threading.Event) -> None:
        self.executor = executor
        self.gate = ReadingGate(threads)
        self.seen = seen  # told of every finished chunk, from any thread
        self.stop = stop


@functools.lru_cache(maxsize=1)
def open_work(settings: Settings) -> Work:
    """Open the graph of a job, once a process.

    Raises:
        BundleError, BackendError, ConfigError, MissingDependencyError: it cannot run.
    """
    bundle = open_bundle(settings.bundle)
    if bundle.manifest.digest != settings.bundle_digest:
        raise JobError(f"The bundle in {settings.bundle} was replaced while the job ran: start it again.")
    codec = Codec(
        bundle,
        backend=settings.backend,
        format=settings.model_format,
        pixels=settings.pixels if settings.model_format else None,
        device=settings.device,
        # One each: the job's own threads are what keeps the cores busy, and results do not depend on their number.
        threads=1,
        allow_failed=settings.allow_failed,
    )
    job = JOBS[settings.job]
    work: Work = job.Work(settings, codec)
    codec.open(job.ROLE)
    return work


def run_shard(spec: ShardSpec, crew: Crew | None = None) -> ShardReport:
    """Do one shard. What goes wrong with an input is its failure; what goes wrong with the job is the report's error.

    Without a crew, one chunk after another in this thread.
    """
    work, size = open_work(spec.settings), spec.batch_size
    parts = [spec.sources[start : start + size] for start in range(0, len(spec.sources), size)]
    chunks, error = _in_order(work, parts) if crew is None else _side_by_side(work, parts, crew)
    outputs: tuple[Output, ...] = ()
    try:
        outputs = work.commit(spec.number, chunks)
    except OSError as problem:
        chunks, error = [], error or problem
    return ShardReport(
        number=spec.number,
        processed=tuple(source for chunk in chunks for source in chunk.processed),
        failures=tuple(_sorted_failures(chunks)),
        outputs=outputs,
        error=error,
    )


def _in_order(work: Work, parts: Sequence[Sequence[Source]]) -> tuple[list[Chunk], Exception | None]:
    gate, chunks = ReadingGate(1), list[Chunk]()
    try:
        for part in parts:
            chunks.append(work.chunk(part, gate))
    except Exception as error:  # whatever it is, what was finished is reported with it
        return chunks, error
    return chunks, None


def _side_by_side(work: Work, parts: Sequence[Sequence[Source]], crew: Crew) -> tuple[list[Chunk], Exception | None]:
    def one(part: Sequence[Source]) -> Chunk | None:
        if crew.stop.is_set():
            return None
        try:
            chunk = work.chunk(part, crew.gate)
        except BaseException:
            crew.stop.set()
            raise
        crew.seen(chunk)
        return chunk

    futures: list[Future[Chunk | None]] = [crew.executor.submit(one, part) for part in parts]
    chunks, first = list[Chunk](), None
    for future in futures:
        try:
            chunk = future.result()
        except Exception as error:  # as above
            first = first or error
            continue
        if chunk is not None:
            chunks.append(chunk)
    return chunks, first


def _sorted_failures(chunks: Sequence[Chunk]) -> list[Failure]:
    return [failure for chunk in chunks for failure in sorted(chunk.failures, key=lambda failure: failure.path)]
