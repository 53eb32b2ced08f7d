"""Importing torch without paying for it twice."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aedeploy.cli.interrupts import interrupts_wait


@contextmanager
def large_imports() -> Iterator[None]:
    """Around imports that bring hundreds of thousands of objects which live as long as the process.

    Python's collector looks through them again and again while they come in, and once more when the process ends:
    half a second with torch. Here it waits, and then leaves them alone for good.

    Triton, which torch._dynamo imports, complains at the end of a process of whatever of it the collector left alone,
    in a dozen lines: once it is there, nothing more is left alone.

    Ctrl-C meanwhile is a KeyboardInterrupt at the end of them.
    """
    gc.disable()
    try:
        with interrupts_wait():
            yield
    finally:
        if "triton" not in sys.modules:
            gc.freeze()
        gc.enable()
