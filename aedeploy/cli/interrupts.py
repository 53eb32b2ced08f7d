"""Ctrl-C while modules are imported: it waits until they are there.

In the midst of an import it becomes whatever that makes of it, such as an ImportError of NumPy's, or leaves half a
module behind. Only ``signal`` is imported here: this comes before everything else.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Around imports of the main thread: a SIGINT meanwhile is a KeyboardInterrupt at the end; a second one, at once.

    Where somebody else handles SIGINT, or ignores it, nothing is changed.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    try:
        signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
