"""A plan carried out: a generator of events, the last of them the summary."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aedeploy.errors import JobError
from aedeploy.jobs.engines import Progress, local
from aedeploy.jobs.ledger import LedgerWriter, ledger_state
from aedeploy.jobs.outputs import is_inside, remove_partials
from aedeploy.jobs.plan import Plan
from aedeploy.jobs.shard import open_work
from aedeploy.jobs.spec import Failure


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a job came to. ``inputs`` is more than ok, skipped and failed together only after an interrupt."""

    job: str
    bundle: str
    inputs: int
    ok: int
    skipped: int  # done by an earlier run, or no input by its name
    failed: int
    seconds: float
    images_per_second: float
    output: str
    failures: tuple[Failure, ...]

    @property
    def complete(self) -> bool:
        return self.ok + self.skipped + self.failed == self.inputs

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(kw_only=True)
class _Tally:
    ok: int = 0
    failures: list[Failure] = field(default_factory=list)


def run_job(plan: Plan, stop: threading.Event | None = None) -> Iterator[Progress | Summary]:
    """Run what is left of a job. When ``stop`` is set, what was begun is finished and committed.

    Leaving the loop early does the same, but for the shards in flight, which are lost.

    Raises:
        JobError: the outputs or the ledger cannot be written; what was finished before is committed.
        BackendError: a graph failed.
    """
    began = time.perf_counter()
    tally = _Tally(failures=list(plan.failures))
    if plan.shards or plan.stale:
        try:
            yield from _carry_out(plan, stop or threading.Event(), tally)
        except OSError as error:
            raise JobError(
                f"Writing to {plan.request.output} failed: {error.strerror or error}. What was finished is kept: "
                "put that right, and the same command goes on."
            ) from error
        finally:
            open_work.cache_clear()
    seconds = time.perf_counter() - began
    yield Summary(
        job=plan.settings.job,
        bundle=plan.request.bundle.name,
        inputs=plan.inputs,
        ok=tally.ok,
        skipped=plan.done_before + len(plan.others),
        failed=len(tally.failures),
        seconds=round(seconds, 3),
        images_per_second=round(tally.ok / seconds, 1),
        output=str(plan.request.output),
        failures=tuple(tally.failures),
    )


def _carry_out(plan: Plan, stop: threading.Event, tally: _Tally) -> Iterator[Progress]:
    output = plan.request.output
    output.mkdir(parents=True, exist_ok=True)
    with LedgerWriter(output) as ledger:
        if ledger_state(output) != plan.ledger:
            raise JobError(f"Another job wrote to {output} meanwhile: run this again.")
        # Before the ledger is emptied: killed in between, it still knows what is to be removed.
        _clear(output, plan)
        ledger.begin(plan.settings.fingerprint(), plan.files, restart=plan.request.overwrite)
        error = None
        for event in local.run(plan.shards, workers=plan.workers, stop=stop):
            if isinstance(event, Progress):
                yield event
                continue
            if event.processed:
                ledger.add(event)
            tally.ok += len(event.processed) - len(event.failures)
            tally.failures += event.failures
            error = error or event.error
        if error is not None:
            raise error


def _clear(output: Path, plan: Plan) -> None:
    """Remove what a killed run left half written, and outputs that are to be made again."""
    remove_partials(output)
    for name in plan.stale:
        if is_inside(name):
            (output / name).unlink(missing_ok=True)
