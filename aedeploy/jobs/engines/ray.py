"""A Ray cluster: one actor a worker, which opens the graph once and does one shard after the other.

An actor takes one processor, and with a CUDA device one GPU too; by default there are as many as the cluster has. An
actor that dies, with its node or by itself, is replaced, and its shard is given to another. Without an address, and
without RAY_ADDRESS, a Ray of this machine alone is started, and ended with the job.

Every node needs the same versions of what makes the bytes, and must see the bundle, the inputs and the output folder
under the paths that they have here. Each actor proves that before it works: it looks for a file, the job's token, in
the output folder. It looks again after every chunk, since the token goes with its job: an actor that outlives a killed
job must not write among the files of the next.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from aedeploy.errors import ConfigError, JobError, MissingDependencyError
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.jobs.engines import EngineOptions, Event, Note, Progress
from aedeploy.jobs.engines._actor import Worker, need
from aedeploy.jobs.engines._cluster import connected, last_line
from aedeploy.jobs.engines.ahead import Ahead
from aedeploy.jobs.outputs import scratch_of
from aedeploy.jobs.spec import Settings, ShardReport, ShardSpec

# How often a shard is given to another worker, before it is what is wrong.
_LIVES = 4
# How many workers in a row may die before they have opened the graph.
_STILLBORN = 4
# Seconds between two looks at what the cluster has, and before the person who waits is told that nobody works.
_LOOK = 5.0
_PATIENCE = 20.0


def run(specs: Iterator[ShardSpec], options: EngineOptions) -> Iterator[Event]:
    """Run the shards on a cluster: see above.

    Raises:
        MissingDependencyError: Ray is not installed.
        ConfigError: there is no such cluster, or it has no GPU though one is asked for.
        JobError: a node cannot do the work, or workers keep dying. What is committed stays.
    """
    try:
        import ray
    except ImportError:
        raise MissingDependencyError("ray", "ray", "--engine ray") from None
    ahead = Ahead(specs, options.stop)
    try:
        # Where nothing is left to do, no cluster is needed for that.
        if (first := ahead.next()) is not None:
            with _token(options.settings) as token, connected(ray, options):
                engine = _Ray(ray, ahead, options, token)
                try:
                    yield from engine.events(first)
                finally:
                    engine.leave()
    except BaseException:
        options.stop.set()  # which ends the listing too
        raise
    ahead.close()


@dataclass(kw_only=True)
class _Given:
    """A shard that is with a worker, or is to be given to another."""

    spec: ShardSpec
    lives: int = _LIVES


class _Ray:
    """This side of the cluster, in one thread."""

    def __init__(self, ray: ModuleType, ahead: Ahead, options: EngineOptions, token: Path) -> None:
        self._ray = ray
        self._ahead = ahead
        self._options = options
        self._settings = _absolute(options.settings)
        self._need = need(self._settings, token)
        self._gpus = int(options.settings.device.startswith("cuda"))
        # A second thread of the actor hears  stop  while the first one works.
        self._worker = ray.remote(num_cpus=1, num_gpus=self._gpus, max_concurrency=2)(Worker)
        self._waiting: dict[Any, tuple[Any, _Given | None]] = {}  # by what is waited for; no shard: it opens the graph
        self._idle: list[Any] = []
        self._again: deque[_Given] = deque()
        self._hosts: dict[Any, str] = {}
        self._stillborn = 0
        self._told_to_stop = False
        self._looked = 0.0
        self._idle_since = time.monotonic()

    def events(self, first: ShardSpec) -> Iterator[Event]:
        """Until all shards are done, or those that were begun when the job was told to stop."""
        self._again.append(self._given(first))
        while True:
            self._hire()
            self._hand_out()
            if self._is_over():
                break
            yield from self._is_anybody_there()
            for answered in self._answered():
                yield from self._take(answered)

    def leave(self) -> None:
        """End every worker at once."""
        for worker in (*self._idle, *(worker for worker, _ in self._waiting.values())):
            with contextlib.suppress(Exception):  # whatever is wrong with the cluster, it was said before
                self._ray.kill(worker)

    def _hire(self) -> None:
        """As many workers as are asked for, or as the cluster has room for by now."""
        now = time.monotonic()
        if self._options.stop.is_set() or (now - self._looked < _LOOK and self._waiting):
            return
        self._looked = now
        has = self._ray.cluster_resources()
        room = int(has.get("GPU" if self._gpus else "CPU", 0))
        if self._gpus and not room:
            raise ConfigError("The Ray cluster has no GPU: leave out --device cuda, or add a node that has one.")
        for _ in range((self._options.workers or max(1, room)) - len(self._idle) - len(self._waiting)):
            self._add_worker()

    def _add_worker(self) -> None:
        worker = self._worker.remote()
        self._waiting[worker.open.remote(self._settings, self._need)] = worker, None

    def _hand_out(self) -> None:
        while self._idle and (given := self._next()) is not None:
            worker = self._idle.pop()
            self._waiting[worker.run.remote(given.spec)] = worker, given

    def _next(self) -> _Given | None:
        if self._options.stop.is_set():
            return None
        if self._again:
            return self._again.popleft()
        waiting, _ = self._ahead.left()
        spec = self._ahead.next() if waiting else None
        return None if spec is None else self._given(spec)

    def _given(self, spec: ShardSpec) -> _Given:
        return _Given(spec=replace(spec, settings=self._settings))

    def _is_over(self) -> bool:
        if any(given for _, given in self._waiting.values()):
            if self._options.stop.is_set() and not self._told_to_stop:
                self._told_to_stop = True
                for worker, given in self._waiting.values():
                    if given:
                        worker.stop.remote()
            return False
        return self._options.stop.is_set() or (not self._again and self._ahead.left() == (0, True))

    def _answered(self) -> list[Any]:
        """Some of what was waited for; none if it takes long, so that ``stop`` is heard."""
        if not self._waiting:
            self._options.stop.wait(0.05)
            return []
        # An idle worker waits for the listing, which wakes nobody.
        ready, _ = self._ray.wait(list(self._waiting), timeout=0.02 if self._idle else 0.2)
        return list(ready)

    def _take(self, answered: Any) -> Iterator[Event]:
        worker, given = self._waiting.pop(answered)
        try:
            answer = self._ray.get(answered)
        except self._ray.exceptions.RayTaskError as error:  # a defect of ours, or another version of us
            raise JobError(f"A worker of the Ray cluster failed: {last_line(error)}.") from error
        except self._ray.exceptions.RayError as error:
            yield from self._lost(worker, given, error)
            return
        if isinstance(answer, Exception):
            raise answer
        self._idle.append(worker)
        if given is None:
            self._hosts[worker] = answer
            self._stillborn = 0
            return
        report: ShardReport = answer
        failed = len(report.failures)
        yield Progress(ok=len(report.members) - failed, failed=failed, seconds=report.seconds)
        if report.error is not None:
            self._options.stop.set()
        yield report

    def _lost(self, worker: Any, given: _Given | None, error: Exception) -> Iterator[Event]:
        """A worker died: another one takes its place, and its shard."""
        with contextlib.suppress(Exception):  # it is dead, or cannot be reached; then it must not go on
            self._ray.kill(worker)
        host = self._hosts.pop(worker, None)
        if given is None:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                raise JobError(
                    f"Workers of the Ray cluster die before they have opened the model ({last_line(error)}): every "
                    "node needs the same Python and the same aedeploy, and memory for the model."
                )
        elif not self._options.stop.is_set():
            given.lives -= 1
            if not given.lives:
                self._options.stop.set()
                yield _given_up(given.spec, error)
                return
            yield Note(text=f"A worker on {host} was lost ({last_line(error)}): its shard is given to another.")
            self._again.append(given)
        if not self._options.stop.is_set():
            self._add_worker()

    def _is_anybody_there(self) -> Iterator[Event]:
        """Say so, now and then, where nobody works: the cluster may be full, or have lost its nodes."""
        now = time.monotonic()
        if self._idle or any(given for _, given in self._waiting.values()):
            self._idle_since = now
        elif now - self._idle_since > _PATIENCE:
            self._idle_since = now
            yield Note(text="No worker of the Ray cluster has begun: others may use its processors. Ctrl-C ends this.")


@contextlib.contextmanager
def _token(settings: Settings) -> Iterator[Path]:
    """A file that is there as long as this job is: the next job of this folder removes it with other leftovers."""
    scratch = scratch_of(settings)
    folder = (scratch or Path(settings.output)).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / f".{secrets.token_hex(8)}{PARTIAL_SUFFIX}"
    token.touch()
    try:
        yield token
    finally:
        token.unlink(missing_ok=True)
        for partial in scratch.glob(f".*{PARTIAL_SUFFIX}") if scratch else ():  # of workers that were lost
            partial.unlink(missing_ok=True)


def _absolute(settings: Settings) -> Settings:
    """A worker's current folder is another one."""
    scratch = None if settings.scratch is None else str(Path(settings.scratch).resolve())
    grey = settings.grey and replace(settings.grey, bundle=str(Path(settings.grey.bundle).resolve()))
    return replace(
        settings,
        output=str(Path(settings.output).resolve()),
        bundle=str(Path(settings.bundle).resolve()),
        scratch=scratch,
        grey=grey,
    )


def _given_up(spec: ShardSpec, error: Exception) -> ShardReport:
    first = spec.sources[0].path
    return ShardReport(
        number=spec.number,
        members=(),
        failures=(),
        error=JobError(
            f"The shard that begins with {first} lost its worker {_LIVES} times ({last_line(error)}): one of its "
            "images may crash it, or memory is short. What was finished is kept."
        ),
    )
