"""A worker process that is replaced when it crashes, and the images that crash it, found.

A crash takes the shards that are in the process with it. Each of them is done again in processes of its own: once
image by image, which shows where they crash, and then as it was to be done, with these images as failures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from aedeploy.jobs.engines import Event, Progress
from aedeploy.jobs.engines.child import Child, ProcessDiedError
from aedeploy.jobs.spec import Failure, Settings, ShardReport, ShardSpec

# Of one shard. Beyond, it is not the images.
_MOST_CRASHES = 16


class LastingChild:
    """As :class:`Child`. What cannot be done is the error of a report, so that others finish what they are at."""

    def __init__(self, settings: Settings, stop: threading.Event, tell: Callable[[Event], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._tell = tell
        self._replacing = threading.Lock()
        self._child = self._new(tell)

    def open(self) -> None:
        """See :meth:`Child.open`."""
        self._child.open()

    def run(self, spec: ShardSpec) -> None:
        """Have one shard done, and tell of everything that comes of it."""
        child = self._child
        try:
            child.run(spec)
        except ProcessDiedError as death:
            with self._replacing:
                report = _given_up(spec, death)
                if death.may_be_an_image and not self._stop.is_set():
                    if self._child is child:
                        child.close()
                        self._child = self._new(self._tell)
                    report = self._again(spec)
            self._tell(report)

    def close(self) -> None:
        """See :meth:`Child.close`."""
        with self._replacing:
            self._child.close()

    def _new(self, tell: Callable[[Event], None]) -> Child:
        return Child(self._settings, self._stop, tell)

    def _again(self, spec: ShardSpec) -> ShardReport:
        try:
            report = self._once(replace(spec, crashed=tuple(self._culprits(spec))), self._tell)
        except ProcessDiedError as death:
            return _given_up(spec, death)
        return report

    def _culprits(self, spec: ShardSpec) -> list[Failure]:
        """The images at which a process crashes that does one after the other."""
        found = list[Failure]()
        start = 0
        while start < len(spec.sources):
            done = 0

            def count(event: Event) -> None:
                nonlocal done
                done += event.ok + event.failed if isinstance(event, Progress) else 0

            try:
                self._once(replace(spec, sources=spec.sources[start:], batch_size=1), count)
                break
            except ProcessDiedError as death:
                start += done
                if not death.may_be_an_image or len(found) == _MOST_CRASHES or start == len(spec.sources):
                    raise
                reason = f"whatever reads it crashes ({death.how})"
                found.append(Failure(path=spec.sources[start].path, reason=reason))
                start += 1
        return found

    def _once(self, spec: ShardSpec, tell: Callable[[Event], None]) -> ShardReport:
        """The report of one shard, of a process that does nothing else."""
        reports = list[ShardReport]()
        child = self._new(lambda event: reports.append(event) if isinstance(event, ShardReport) else tell(event))
        try:
            child.run(spec)
        finally:
            child.close()
        return reports[0]


def _given_up(spec: ShardSpec, death: ProcessDiedError) -> ShardReport:
    return ShardReport(number=spec.number, members=(), failures=(), error=death)
