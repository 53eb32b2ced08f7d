"""How long each stage of a job takes: read, decode, infer, write. Seconds of all workers together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from aedeploy.jobs.spec import StageSeconds


@contextlib.contextmanager
def timed(seconds: StageSeconds, stage: str) -> Iterator[None]:
    """Add what the block takes to a stage."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - began
