"""Ctrl-C and SIGTERM as a wish to stop after the current step, once there is something to save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Stop:
    """``event`` is set by the first signal that comes while ``armed``; any other signal is a KeyboardInterrupt."""

    event: threading.Event = field(default_factory=threading.Event)
    armed: bool = False


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Take the signals while the block runs; a second one does not wait. For the main thread only."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if not stop.armed or stop.event.is_set():
            raise KeyboardInterrupt
        stop.event.set()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
