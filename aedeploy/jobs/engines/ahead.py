"""The next shards, listed ahead by a thread of its own, a bounded number of inputs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from aedeploy.errors import JobError
from aedeploy.jobs.spec import ShardSpec

# Inputs, and bytes of those that carry their content.
_MOST_INPUTS = 16_384
_MOST_BYTES = 64 * 2**20


class Ahead:
    """An iterator that any thread may ask, of shards that another thread lists."""

    def __init__(self, specs: Iterator[ShardSpec], stop: threading.Event) -> None:
        self._specs = specs
        self._stop = stop
        self._waiting: deque[ShardSpec] = deque()
        self._inputs = self._bytes = 0
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._list, name="listing", daemon=True)
        self._thread.start()

    def next(self) -> ShardSpec | None:
        """The next shard, or None when there is none, or the job is to stop."""
        with self._changed:
            while not self._waiting and not self._ended and not self._stop.is_set():
                self._changed.wait(0.2)  # for ``stop`` wakes nobody
            if self._stop.is_set() or not self._waiting:
                return None
            spec = self._waiting.popleft()
            self._count(spec, -1)
            self._changed.notify_all()
            return spec

    def left(self) -> tuple[int, bool]:
        """How many inputs wait, and whether that is all of them."""
        with self._changed:
            return self._inputs, self._ended

    def close(self) -> None:
        """End the listing, and raise what ended it, if something did.

        Raises:
            AedeployError: of the listing.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if isinstance(self._error, OSError):
            where = f"{self._error.filename}: " if self._error.filename else ""
            raise JobError(
                f"The inputs cannot be listed to their end ({where}{self._error.strerror or self._error}). What was "
                "finished is kept: put that right, and the same command goes on."
            ) from self._error
        if self._error is not None:
            raise self._error

    def _list(self) -> None:
        try:
            for spec in self._specs:
                with self._changed:
                    self._waiting.append(spec)
                    self._count(spec, 1)
                    self._changed.notify_all()
                    while self._inputs >= _MOST_INPUTS or self._bytes >= _MOST_BYTES:
                        if self._stopped or self._stop.is_set():
                            return
                        self._changed.wait(0.2)
                if self._stopped or self._stop.is_set():
                    return
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _count(self, spec: ShardSpec, sign: int) -> None:
        self._inputs += sign * len(spec.sources)
        self._bytes += sign * sum(len(source.data or b"") for source in spec.sources)
