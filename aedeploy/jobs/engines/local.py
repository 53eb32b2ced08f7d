"""This machine. First threads of this process, which begin at once: one shard's end overlaps with the next one's start.

Where images are small, threads wait for one another at the interpreter's lock. Then, and where enough is left for it to
pay, all workers but one become processes of their own (child.py), each of which does whole shards. Measured here on
two cores, images a second of ``encode`` by two threads and by a process and a thread: docs/benchmarks.md.

Asked for processes always, all workers are: then no image can take the job with it, however it crashes its decoder.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from aedeploy.images.read import quiet_pillow
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.engines import EngineOptions, Event, Progress
from aedeploy.jobs.engines.ahead import Ahead
from aedeploy.jobs.engines.child import SHARDS_AT_ONCE
from aedeploy.jobs.engines.lasting import LastingChild
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.shard import Crew, run_shard
from aedeploy.jobs.spec import ShardReport, ShardSpec, StageSeconds

P = ParamSpec("P")
T = TypeVar("T")

# Seconds. An image that costs more is long calls without the lock: threads do as well.
_CHEAP = 1e-3
# A process needs about half a second to start; less than this much work a worker is not worth one.
_WORTH_A_PROCESS = 1.0
_IMAGES_BEFORE_JUDGING = 512

#: What runs a graph without PyTorch, whose start would take longer than a job.
_LIGHT = ("ncnn", "onnxruntime", "openvino")


class _Ended:
    """A lane has nothing more to do."""


def run(specs: Iterator[ShardSpec], options: EngineOptions) -> Iterator[Event]:
    """Run the shards in order: see above."""
    with quiet_pillow(), contextlib.ExitStack() as stack:
        engine = _Local(specs, options)
        stack.callback(engine.leave)
        if options.processes == "always" and not _is_of_this_process(options):
            engine.start_children(options.workers)
        else:
            engine.start_threads()
        yield from engine.events()


class _Local:
    def __init__(self, specs: Iterator[ShardSpec], options: EngineOptions) -> None:
        self._options = options
        self._ahead = Ahead(specs, options.stop)
        self._events: SimpleQueue[Event | BaseException | _Ended] = SimpleQueue()
        self._chunks = ThreadPoolExecutor(options.workers, "chunk")
        self._width = _Width(options.workers)
        self._gate = ReadingGate(options.workers)
        self._lanes: list[threading.Thread] = []
        self._children: list[LastingChild] = []
        self._images, self._seconds = 0, 0.0
        self._judged = options.processes != "auto" or not self._may_have_children()

    def start_threads(self) -> None:
        crew = Crew(
            executor=_Narrowed(self._chunks, self._width), gate=self._gate, seen=self._seen, stop=self._options.stop
        )
        for _ in range(SHARDS_AT_ONCE):
            self._lane(lambda spec: self._events.put(run_shard(spec, crew)))

    def start_children(self, number: int) -> None:
        """So many workers as processes."""
        for _ in range(number):
            child = LastingChild(self._options.settings, self._options.stop, self._events.put)
            self._children.append(child)
            self._lane(child.run, before=lambda child=child: self._opened(child))  # type: ignore[misc]
            for _ in range(SHARDS_AT_ONCE - 1):
                self._lane(child.run, before=child.open)

    def events(self) -> Iterator[Event]:
        """Until every lane has ended."""
        ended = 0
        while ended < len(self._lanes):
            event = self._events.get()
            if isinstance(event, _Ended):
                ended += 1
                continue
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, ShardReport) and event.error is not None:
                self._options.stop.set()
            if isinstance(event, Progress) and not self._judged:
                self._judge(event)
            yield event
        self._ahead.close()

    def leave(self) -> None:
        """Whoever stops listening, by an error or by leaving the loop, leaves no thread and no process working."""
        self._options.stop.set()
        for child in self._children:
            child.close()
        for lane in self._lanes:
            lane.join()
        self._chunks.shutdown()

    def _lane(self, work: Callable[[ShardSpec], object], before: Callable[[], object] = lambda: None) -> None:
        def follow() -> None:
            try:
                before()
                while (spec := self._ahead.next()) is not None:
                    work(spec)
            except BaseException as error:  # a defect of ours, or a process that died: it must end the job
                self._events.put(error)
            finally:
                self._events.put(_Ended())

        lane = threading.Thread(target=follow, name="shard", daemon=True)
        self._lanes.append(lane)
        lane.start()

    def _seen(self, chunk: Chunk, seconds: StageSeconds) -> None:
        self._events.put(Progress(ok=len(chunk.rows), failed=len(chunk.failures), seconds=seconds))

    def _opened(self, child: LastingChild) -> None:
        child.open()
        self._width.narrow()

    def _judge(self, event: Progress) -> None:
        """After the first images: whether processes are worth their start."""
        self._images += event.ok + event.failed
        self._seconds += sum(event.seconds.values())
        if self._images < _IMAGES_BEFORE_JUDGING:
            return
        self._judged = True
        cost = self._seconds / self._images
        left, all_of_them = self._ahead.left()
        if cost < _CHEAP and (not all_of_them or left * cost > _WORTH_A_PROCESS * self._options.workers):
            with contextlib.suppress(OSError):  # no memory for them: the threads go on
                self.start_children(self._options.workers - 1)

    def _may_have_children(self) -> bool:
        settings = self._options.settings
        light = settings.device == "cpu" and settings.backend in _LIGHT
        if _is_of_this_process(self._options):
            return False
        return os.name == "posix" and light and self._options.workers > 1


def _is_of_this_process(options: EngineOptions) -> bool:
    """Whether the inputs are on a file system that no other process sees."""
    return options.settings.origin.location.startswith("memory://")


class _Width:
    """How many of this process's threads work on chunks at once: fewer, the more processes there are."""

    def __init__(self, threads: int) -> None:
        self._most, self._busy = threads, 0
        self._changed = threading.Condition()

    def narrow(self) -> None:
        with self._changed:
            self._most = max(1, self._most - 1)

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._busy < self._most)
            self._busy += 1

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify()


class _Narrowed(Executor):
    """The threads for chunks, of which no more work at once than the width says."""

    def __init__(self, threads: Executor, width: _Width) -> None:
        self._threads = threads
        self._width = width

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        def narrowed() -> T:
            with self._width:
                return fn(*args, **kwargs)

        return self._threads.submit(narrowed)
