"""How many threads may read images at once: all of them, or one, by what an image costs.

Decoding a small image is mostly Python, and threads that do it take turns at the interpreter's lock: two are slower
than one. Decoding a large one is one long call without the lock. Measured here, on two cores, images a second on
one thread and on two, and processor time of an image:

    28×28 PNG   18,500 / 12,300   54 µs        64×64 PNG      10,000 / 13,900   101 µs
    64×64 JPEG  12,500 / 10,400   77 µs        128×128 JPEG    9,200 / 11,800   107 µs

What threads do outside of the gate, such as running a graph, goes on side by side.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

#: Processor seconds of an image, below which one thread at a time reads.
_CHEAP = 90e-6


class ReadingGate:
    """Let ``threads`` through at a time, or one while images are cheap."""

    def __init__(self, threads: int, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock  # processor seconds of the calling thread
        self._threads = self._open = threads
        self._inside = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reading(self, images: int) -> Iterator[None]:
        """Wait for a turn to read ``images`` images, and time them."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self._open)
            self._inside += 1
        began = self._clock()
        try:
            yield
        finally:
            cheap = self._clock() - began < _CHEAP * images
            with self._changed:
                self._inside -= 1
                self._open = 1 if cheap else self._threads
                self._changed.notify_all()
