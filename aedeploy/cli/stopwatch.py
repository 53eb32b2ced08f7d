"""Where the time of a command goes, its own start included."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path


class Stopwatch:
    """Seconds by stage, in their order; the first stage begins where the process began, where that can be told."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._last = time.perf_counter() - _age_of_process()

    def lap(self, stage: str) -> None:
        """What was done since the last lap was ``stage``."""
        now = time.perf_counter()
        self._seconds[stage] = now - self._last
        self._last = now

    def add(self, seconds: Mapping[str, float]) -> None:
        """Stages that were timed by whoever did them."""
        self._seconds.update(seconds)
        self._last = time.perf_counter()

    @property
    def seconds(self) -> dict[str, float]:
        """Rounded: milliseconds are as much as means anything."""
        return {stage: round(seconds, 3) for stage, seconds in self._seconds.items()}


def _age_of_process() -> float:
    """Seconds since this process began, by the system's own record; 0 where it keeps none."""
    try:
        # Fields are counted from behind the command's name, which may have any character in it.
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, AttributeError, ValueError, IndexError):
        return 0.0
