"""A plan carried out: a generator of events, the last of them the summary."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from aedeploy.errors import JobError
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.jobs.collector import collecting_seldom
from aedeploy.jobs.earlier import refuse_other_numbers, stale_outputs
from aedeploy.jobs.engines import ENGINES, EngineOptions, Note, Progress
from aedeploy.jobs.ledger import LEDGER_FILE, LedgerWriter, ledger_paths, ledger_state
from aedeploy.jobs.outputs import is_inside, scratch_of
from aedeploy.jobs.plan import Plan
from aedeploy.jobs.shard import open_work
from aedeploy.jobs.sinks.scores import Verdict, verdict
from aedeploy.jobs.spec import Failure, ShardReport, StageSeconds
from aedeploy.names import load_named

# Before a share of failures is judged, so many inputs are dealt with, unless there are fewer.
_BEFORE_A_SHARE = 100


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
    others: int  # of the skipped, those that are no input
    other_names: tuple[str, ...]  # the first of them
    stages: StageSeconds  # of all workers together
    notes: tuple[str, ...]
    verdict: Verdict | None  # of all scores in the output folder, where they have a threshold
    denoising: dict[str, Any] | None  # of the job denoise: see Plan.denoising
    complete: bool  # everything was listed, and each input is ok, skipped or failed

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(kw_only=True)
class _Tally:
    ok: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds: StageSeconds = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def run_job(plan: Plan, stop: threading.Event | None = None) -> Iterator[Progress | Note | Summary]:
    """Run what is left of a job. When ``stop`` is set, what was begun is finished and committed.

    Leaving the loop early does the same, but for the shards in flight, which are lost.

    Raises:
        JobError: the outputs or the ledger cannot be written, or more inputs failed than are allowed; what was
            finished before is committed.
        BackendError: a graph failed.
    """
    began = time.perf_counter()
    tally = _Tally()
    try:
        with collecting_seldom():
            yield from _carry_out(plan, stop or threading.Event(), tally)
    except OSError as error:
        raise _not_written(plan.request.output, error) from error
    finally:
        open_work.cache_clear()
        _leave(plan)
    found = verdict(plan.request.output) if plan.calibration else None
    if found is not None:
        tally.notes.append(found.told)
        yield _note(found.told)
    yield _summary(plan, tally, found, time.perf_counter() - began)


def _not_written(output: Path, error: OSError) -> JobError:
    return JobError(
        f"Writing to {output} failed: {error.strerror or error}. What was finished is kept: "
        "put that right, and the same command goes on."
    )


def _summary(plan: Plan, tally: _Tally, found: Verdict | None, seconds: float) -> Summary:
    seen = plan.seen
    failures = (*seen.failures, *tally.failures)
    skipped = seen.done + seen.others
    inputs = seen.inputs + seen.others
    return Summary(
        job=plan.settings.job,
        bundle=plan.request.bundle.name,
        inputs=inputs,
        ok=tally.ok,
        skipped=skipped,
        failed=len(failures),
        seconds=round(seconds, 3),
        images_per_second=round(tally.ok / seconds, 1),
        output=str(plan.request.output),
        failures=failures,
        others=seen.others,
        other_names=tuple(seen.other_names),
        stages={stage: round(spent, 3) for stage, spent in sorted(tally.seconds.items())},
        notes=tuple(tally.notes),
        verdict=found,
        denoising=plan.denoising,
        complete=seen.complete and tally.ok + skipped + len(failures) == inputs,
    )


def _carry_out(plan: Plan, stop: threading.Event, tally: _Tally) -> Iterator[Progress | Note]:
    output, request = plan.request.output, plan.request
    output.mkdir(parents=True, exist_ok=True)
    with LedgerWriter(output, request.part) as ledger:
        if ledger_state(output, request.part) != plan.ledger:
            raise JobError(f"Another job wrote to {output} meanwhile: run this again.")
        refuse_other_numbers(request)  # who began since the plan was made has its ledger too by now
        # Before the ledger is emptied: killed in between, it still knows what is to be removed.
        _clear(output, plan)
        ledger.begin(plan.settings.fingerprint(), request.recorded(), restart=request.overwrite)
        if plan.calibration is not None:
            plan.calibration.save(output)
            tally.notes.append(plan.calibration.told)
            yield _note(plan.calibration.told)
        begun = _Begun(plan, ledger)
        options = EngineOptions(
            settings=plan.settings,
            workers=plan.workers,
            stop=stop,
            processes=request.processes,
            address=request.address,
        )
        error = None
        engine: ModuleType = load_named(ENGINES, request.engine, "engine")
        # Closed before the ledger is: whatever ends this, no worker goes on.
        with contextlib.closing(engine.run(plan.cutter.shards(begun), options)) as events:
            for event in events:
                if isinstance(event, ShardReport):
                    _commit(ledger, event, tally)
                    yield from map(_note, event.notes)
                    error = error or event.error or _too_many(plan, tally)
                    if error is not None:
                        stop.set()
                else:
                    if isinstance(event, Progress):
                        for stage, spent in event.seconds.items():
                            tally.seconds[stage] = tally.seconds.get(stage, 0.0) + spent
                    yield event
        if error is None and plan.seen.complete:  # also where somebody asked to stop: what is left is known then
            _finish(ledger, plan)
            error = _too_many(plan, tally, at_the_end=True)  # the listing may have failures of its own
        if error is not None:
            raise error


def _note(text: str) -> Note:
    return Note(text=text)


def _commit(ledger: LedgerWriter, report: ShardReport, tally: _Tally) -> None:
    if report.members:
        ledger.add(report)
    tally.ok += len(report.members) - len(report.failures)
    tally.failures += report.failures
    tally.notes += report.notes


def _finish(ledger: LedgerWriter, plan: Plan) -> None:
    """All inputs were seen: what was known of them without being read goes into the ledger too."""
    seen = plan.seen
    counts = {
        "inputs": seen.inputs,
        "others": seen.others,
        "elsewhere": seen.elsewhere,
        "failures": [[failure.path, failure.reason] for failure in seen.failures],
    }
    if plan.record is None or plan.request.overwrite or plan.record.listed.get(plan.request.part) != counts:
        ledger.listed(counts)


def _too_many(plan: Plan, tally: _Tally, *, at_the_end: bool = False) -> JobError | None:
    failed = len(plan.seen.failures) + len(tally.failures)
    dealt_with = plan.seen.done + tally.ok + failed
    is_share = plan.request.max_failures is not None and "%" in plan.request.max_failures
    if is_share and dealt_with < _BEFORE_A_SHARE and not at_the_end:
        return None
    allowed = plan.request.failures_allowed(dealt_with)
    if allowed is None or failed <= allowed:
        return None
    first = (*plan.seen.failures, *tally.failures)[0]
    limit = "--on-error fail" if plan.request.on_error == "fail" else f"--max-failures {plan.request.max_failures}"
    return JobError(
        f"{failed:,} of {dealt_with:,} inputs failed, more than {limit} allows, such as {first.path}: {first.reason}. "
        "What was finished is kept."
    )


class _Begun:
    """Told of every shard before it is begun, by whoever lists: an error of its own is none of the listing."""

    def __init__(self, plan: Plan, ledger: LedgerWriter) -> None:
        self._output = plan.request.output
        self._scratch = scratch_of(plan.settings)
        self._ledger = ledger if plan.work.sink.files(0) else None

    def __call__(self, number: int) -> None:
        try:
            if self._scratch is not None:
                self._scratch.mkdir(parents=True, exist_ok=True)
                self._scratch = None
            if self._ledger is not None:
                self._ledger.begun(number)
        except OSError as error:
            raise _not_written(self._output, error) from error


def _leave(plan: Plan) -> None:
    """Nothing is left in the scratch folder by a job that ended, so it goes; of one that failed, it may stay."""
    scratch = scratch_of(plan.settings)
    if scratch is not None:
        with contextlib.suppress(OSError):
            scratch.rmdir()


def _clear(output: Path, plan: Plan) -> None:
    """Remove what a killed run left half written, and outputs that are to be made again."""
    scratch = scratch_of(plan.settings)
    if scratch is not None:
        of = scratch.name.rpartition("-")[2]
        for folder in scratch.parent.glob("partial-*-of-*"):
            # Its own, and those of another number of processes, of which none can work now.
            if folder == scratch or not folder.name.endswith(f"-of-{of}"):
                for partial in folder.glob(f".*{PARTIAL_SUFFIX}"):
                    partial.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    folder.rmdir()
    earlier = plan.record
    for name in stale_outputs(earlier, plan.kept, plan.work.sink, plan.request) if earlier else ():
        if is_inside(name):
            (output / name).unlink(missing_ok=True)
    if plan.request.overwrite:
        for path in ledger_paths(output):
            if path.name != LEDGER_FILE.name:
                path.unlink(missing_ok=True)
