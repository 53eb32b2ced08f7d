"""What the commands encode, decode, reconstruct and denoise, and ``jobs retry``, share: a request carried out."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import typer

from aedeploy.cli.console import INTERRUPTED, Output, output_of
from aedeploy.cli.job_progress import JobProgress, bottleneck
from aedeploy.cli.job_request import auto_or_number as auto_or_number
from aedeploy.cli.job_request import bundles_of, command_of, read_request

if TYPE_CHECKING:
    from aedeploy.jobs.plan import Plan
    from aedeploy.jobs.request import JobRequest
    from aedeploy.jobs.run import Summary
    from aedeploy.jobs.spec import JobName

#: Finished, but some inputs failed.
SOME_FAILED = 3

_SHOWN = 10

#: Of the summary, what only its text needs.
_NOT_IN_JSON = ("others", "other_names", "complete")


def run_command(job: JobName, options: Mapping[str, Any]) -> None:
    """Do what a command's options ask for and print the result; ends with the job's exit code."""
    output = output_of(options)
    found, grey = bundles_of(job, options["bundle"])
    output.note(f"Bundle: {found.path}" + (f", and for grey images {grey.path}" if grey else ""))
    request = read_request(job, found, options, grey)
    if options["dry_run"]:
        from aedeploy.cli.job_plan import show_plan

        show_plan(request, output)
    else:
        carry_out(request, output, command_of(request))


def carry_out(request: JobRequest, output: Output, again: Sequence[str]) -> None:
    """Run a job and print its result; ends with its exit code. ``again``: the words that go on after an interrupt."""
    from aedeploy.jobs.plan import plan_job

    plan = plan_job(request)
    _introduce(plan, output)
    with _stop_on_signals() as stop, contextlib.nullcontext() if output.debug else _without_chatter():
        summary = _watched(plan, output, stop)
    values = {name: value for name, value in summary.as_dict().items() if name not in _NOT_IN_JSON}
    for name in ("verdict", "denoising"):  # of some jobs only
        if values[name] is None:
            del values[name]
    output.result(values if summary.complete else values | {"resume": shlex.join(again)}, _text(summary))
    if most := bottleneck(summary.stages):
        spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary.stages.items())
        output.detail(f"Of all workers together: {spent}; most of it {most[0]}.")
    if not summary.complete:
        output.note(f"Interrupted: what was finished is kept. To go on:\n\n  {shlex.join(again)}\n")
        raise typer.Exit(INTERRUPTED)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)


def _introduce(plan: Plan, output: Output) -> None:
    """What there is to know before it begins."""
    from aedeploy.jobs.count import done_before
    from aedeploy.jobs.hints import first_headers, geometry_of, is_resized, scaled_hint

    if output.quiet:
        return
    output.detail(
        f"{plan.settings.backend} on {plan.settings.device}, {plan.workers or 'as many as the cluster has'} workers; "
        f"model {plan.settings.bundle_digest}"
    )
    if done := done_before(plan):
        output.note(f"{done:,} were done by earlier runs.")
    headers = first_headers(plan)
    if is_resized(plan, headers):
        sentence = geometry_of(plan)
        output.note(f"{sentence[0].upper()}{sentence[1:]}.")
    if hint := scaled_hint(plan, headers):
        output.note(hint)


def _watched(plan: Plan, output: Output, stop: threading.Event) -> Summary:
    """Run it, and show what happens."""
    from aedeploy.jobs.engines import Note, Progress
    from aedeploy.jobs.run import run_job

    # Closed, so that whoever does not wait for the end leaves no thread and no process at work.
    events = cast("Generator[Progress | Note | Summary]", run_job(plan, stop))
    with JobProgress(plan, output, stop) as progress, contextlib.closing(events):
        for event in events:
            if isinstance(event, Progress):
                progress.show(event)
            elif isinstance(event, Note):
                progress.note(event)
            else:
                return event
    raise AssertionError("a job ends with its summary or with an error")


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """The first Ctrl-C, or a polite kill, asks to stop; the second Ctrl-C stops at once."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(*_: Any) -> None:
        stop.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep quiet what C libraries write straight to file descriptor 2, as libtiff does for every odd tag of a file."""
    try:
        real = sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):
        real = False
    if not real:
        yield
        return
    ours, kept = sys.stderr, os.dup(2)
    with open(os.devnull, "wb") as nowhere, open(kept, "w", encoding=ours.encoding, errors=ours.errors) as stderr:
        ours.flush()
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = stderr
        try:
            yield
        finally:
            stderr.flush()
            os.dup2(kept, 2)
            sys.stderr = ours


def _text(summary: Summary) -> str:
    lines = [
        f"{summary.job}: {summary.ok:,} ok, {summary.skipped:,} skipped, {summary.failed:,} failed, "
        f"in {summary.seconds:.1f} s ({summary.images_per_second:,.0f} a second) → {summary.output}"
    ]
    if summary.others:
        names = ", ".join(summary.other_names)
        more = summary.others - len(summary.other_names)
        names += f" and {more:,} more" if more else ""
        lines.append(f"  skipped  {names}: no images by their names, or not selected")
    lines += [f"  failed   {failure.path}: {failure.reason}" for failure in summary.failures[:_SHOWN]]
    if summary.failed > _SHOWN:
        lines.append(f"  … and {summary.failed - _SHOWN:,} more: --json lists all of them")
    return "\n".join(lines)
