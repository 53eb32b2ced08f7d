"""Who runs the shards: one module each, with

    def run(specs, *, workers, stop) -> Iterator[Progress | ShardReport]

which gives a report for every shard that was begun, as soon as it is done, and progress in between.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Some more inputs are dealt with. They count as done when their shard's report is in the ledger."""

    ok: int
    failed: int
