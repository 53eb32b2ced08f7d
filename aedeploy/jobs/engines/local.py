"""This process: threads that read and run chunks, and one shard's end overlapping with the next one's start."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from aedeploy.images.read import quiet_pillow
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.engines import Progress
from aedeploy.jobs.shard import Crew, run_shard
from aedeploy.jobs.spec import ShardReport, ShardSpec

# While one shard waits for its last chunks and is written, the next one keeps the threads busy.
_SHARDS_AT_ONCE = 2


def run(specs: Sequence[ShardSpec], *, workers: int, stop: threading.Event) -> Iterator[Progress | ShardReport]:
    """Run the shards in order. Once ``stop`` is set, or a shard has an error, only chunks begun are finished."""
    events: SimpleQueue[Progress | ShardReport | BaseException] = SimpleQueue()

    def seen(chunk: Chunk) -> None:
        events.put(Progress(ok=len(chunk.ok), failed=len(chunk.failures)))

    def one(spec: ShardSpec) -> None:
        try:
            events.put(run_shard(spec, crew))
        except BaseException as error:  # a defect of ours: it must end the job, and not leave it waiting
            events.put(error)

    with (
        quiet_pillow(),
        ThreadPoolExecutor(workers, "chunk") as chunks,
        ThreadPoolExecutor(_SHARDS_AT_ONCE, "shard") as shards,
    ):
        crew = Crew(chunks, workers, seen, stop)
        waiting, running = iter(specs), 0
        try:
            while True:
                while running < _SHARDS_AT_ONCE and not stop.is_set() and (spec := next(waiting, None)) is not None:
                    shards.submit(one, spec)
                    running += 1
                if running == 0:
                    return
                event = events.get()
                if isinstance(event, BaseException):
                    raise event
                if isinstance(event, ShardReport):
                    running -= 1
                    if event.error is not None:
                        stop.set()
                yield event
        finally:
            # Whoever stops listening, by an error or by leaving the loop, leaves no thread working.
            stop.set()
