"""Importing torch without paying for it twice."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def large_imports() -> Iterator[None]:
    """Around imports that bring hundreds of thousands of objects which live as long as the process.

    Python's collector looks through them again and again while they come in, and once more when the process ends:
    half a second with torch. Here it waits, and then leaves them alone for good.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
