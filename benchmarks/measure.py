"""Timing that is fair, and one JSON object to say it.

Rounds are interleaved, so that whatever slows the machine for a while slows every contender alike; the figure of a
contender is the median of its rounds. Nothing here fails a build: a benchmark reports, a person judges.

    seconds = interleave({"ours": run_ours, "usual": run_usual}, rounds=5)
    report("name", seconds, [at_least("ours against usual", ratio(seconds, "usual", "ours"), 1.8)])
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aedeploy.runtime.cores import available_cores

Seconds = dict[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A figure beside what was wished for."""

    what: str
    value: float
    target: str
    met: bool


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_up: int = 1,
    between: Callable[[], object] | None = None,
) -> Seconds:
    """Wall-clock seconds of every contender, round by round.

    ``warm_up`` rounds fill caches and are not counted; ``between`` runs, untimed, before each call (to empty an
    output folder, say).
    """
    seconds: Seconds = {name: [] for name in contenders}
    for done in range(warm_up + rounds):
        for name, contender in contenders.items():
            if between is not None:
                between()
            start = time.perf_counter()
            contender()
            if done >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def process(arguments: Sequence[str | Path], cwd: Path | None = None) -> Callable[[], None]:
    """A contender that runs a command, start and end of its process included, and stops if it fails."""

    def run() -> None:
        done = subprocess.run([str(part) for part in arguments], cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    return run


def ratio(seconds: Seconds, above: str, below: str) -> float:
    """How many times as long ``above`` takes as ``below``, by their medians."""
    return statistics.median(seconds[above]) / statistics.median(seconds[below])


def high_water(pid: int) -> int:
    """Bytes of memory that a process has had at most (VmHWM); 0 where no Linux tells it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def at_most(what: str, value: float, limit: float) -> Target:
    """A target that is met from below."""
    return Target(what=what, value=round(value, 4), target=f"≤ {limit:g}", met=value <= limit)


def at_least(what: str, value: float, limit: float) -> Target:
    """A target that is met from above."""
    return Target(what=what, value=round(value, 4), target=f"≥ {limit:g}", met=value >= limit)


def report(benchmark: str, seconds: Seconds, targets: Sequence[Target], **more: Any) -> None:
    """Print the benchmark's one JSON object, on one line of stdout."""
    figures = {
        name: {
            "median": round(statistics.median(rounds), 4),
            "min": round(min(rounds), 4),
            "max": round(max(rounds), 4),
            "rounds": len(rounds),
        }
        for name, rounds in seconds.items()
    }
    result = {
        "benchmark": benchmark,
        "cores": available_cores(),
        "python": platform.python_version(),
        "aedeploy": version("aedeploy"),
        "seconds": figures,
        "targets": [asdict(target) for target in targets],
        **more,
    }
    print(json.dumps(result, ensure_ascii=False), flush=True)
