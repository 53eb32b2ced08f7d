"""Who runs the shards: one module each, with

    def run(specs, options) -> Iterator[Event]

``specs`` is an iterator that may wait for the listing. An engine gives a report for every shard that was begun, as
soon as it is done, and progress in between. Once ``options.stop`` is set, or a shard has an error, what was begun is
finished.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

from aedeploy.jobs.spec import Settings, ShardReport, StageSeconds

ENGINES = "aedeploy.jobs.engines"

Processes = Literal["auto", "never", "always"]


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How the shards are to be run."""

    settings: Settings
    workers: int  # 0, of ray only: as many as the cluster has
    stop: threading.Event
    processes: Processes = "auto"  # local: whether workers are processes of their own, or threads
    address: str | None = None  # ray: of the cluster; None: one that it starts here


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Some more inputs are dealt with. They count as done when their shard's report is in the ledger."""

    ok: int
    failed: int
    seconds: StageSeconds = field(default_factory=dict)  # what each stage took, of all workers together


@dataclass(frozen=True, kw_only=True)
class Note:
    """A sentence for the person who waits."""

    text: str


Event = Progress | ShardReport | Note
