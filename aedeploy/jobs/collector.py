"""Python's cycle collector, which a job gives little to do and costs much: it looks at every input that is listed."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

# Objects between two collections of the young ones. Python's own 700 are few beside an input's ten.
_OBJECTS = 100_000


def collect_seldom() -> None:
    """From now on, in this process; and never among what is there by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])


@contextlib.contextmanager
def collecting_seldom() -> Iterator[None]:
    """Within the block; afterwards as it was."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
