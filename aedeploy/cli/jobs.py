"""What the commands encode, decode, reconstruct and denoise share: their options, their progress, their result."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aedeploy.cli.console import INTERRUPTED, Output
from aedeploy.errors import ConfigError

if TYPE_CHECKING:
    from aedeploy.jobs.engines import Progress
    from aedeploy.jobs.plan import Plan
    from aedeploy.jobs.run import Summary

#: Finished, but some inputs failed.
SOME_FAILED = 3

_SHOWN = 10
_SECONDS_BETWEEN_LINES = 10.0

ImagesArgument = Annotated[
    Path, typer.Argument(metavar="INPUT", help="A folder of images, searched with all folders in it, or one image.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The folder to write to, outside of the input.")]
BatchSize = Annotated[str, typer.Option(metavar="auto|N", help="Images that go through the graph at a time.")]
Workers = Annotated[str, typer.Option(metavar="auto|N", help="Threads. auto: as many as cores.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Start again, in place of what an earlier run left."),
]
Names = Annotated[
    str,
    typer.Option(metavar="short|full", help="Of outputs. short: a.jpg gives a.png; full: a.jpg.png."),
]
Size = Annotated[
    str,
    typer.Option(metavar="original|model", help="Of outputs: each image's own, or the model's."),
]


def carry_out(job: str, output: Output, bundle: str | None, options: Mapping[str, Any]) -> None:
    """Run one job from a command's options and print its result; ends with the job's exit code.

    ``options`` are those of :class:`aedeploy.jobs.request.JobRequest`, as the command line gave them.
    """
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.jobs.plan import plan_job
    from aedeploy.jobs.run import Summary, run_job

    found = find_bundle(bundle)
    output.note(f"Bundle: {found.path}")
    request = _request(job, found, options)
    plan = plan_job(request)
    output.detail(
        f"{plan.settings.backend} on {plan.settings.device}, {plan.workers} workers, {len(plan.shards)} shards; "
        f"model {plan.settings.bundle_digest}"
    )
    if plan.done_before:
        output.note(f"{plan.done_before:,} are done already; {plan.left:,} are left.")
    summary = None
    with _stop_on_signals() as stop, contextlib.nullcontext() if output.debug else _without_chatter():
        for event in _watched(run_job(plan, stop), plan, output, stop):
            if isinstance(event, Summary):
                summary = event
    assert summary is not None  # a generator that did not raise has ended with it
    output.result(summary.as_dict(), _text(summary, plan))
    if not summary.complete:
        output.note(
            f"Interrupted: what was finished is kept. To go on:\n\n  {_resuming(job, str(found.path), options)}\n"
        )
        raise typer.Exit(INTERRUPTED)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)


def _request(job: str, bundle: Any, options: Mapping[str, Any]) -> Any:
    from aedeploy.jobs.request import JobRequest

    values = dict(options)
    for name in ("batch_size", "workers"):
        values[name] = auto_or_number(name, values[name])
    return JobRequest(job=job, bundle=bundle, **values)  # type: ignore[arg-type]


def auto_or_number(name: str, value: str) -> int | None:
    """What an option ``auto|N`` was given; None for auto."""
    if value == "auto":
        return None
    if not value.isdecimal():
        raise ConfigError(f"--{name.replace('_', '-')} takes a number, or auto: {value!r} is neither.")
    return int(value)


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


def _watched(
    events: Iterator[Progress | Summary], plan: Plan, output: Output, stop: threading.Event
) -> Iterator[Progress | Summary]:
    """Pass the events on, and show them: a bar on a terminal, a line now and then elsewhere."""
    if output.quiet or plan.left == 0:
        yield from events
    elif output.messages.is_terminal:
        yield from _with_bar(events, plan, output, stop)
    else:
        yield from _with_lines(events, plan, output, stop)


def _with_bar(
    events: Iterator[Progress | Summary], plan: Plan, output: Output, stop: threading.Event
) -> Iterator[Progress | Summary]:
    from rich import progress

    from aedeploy.jobs.engines import Progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[failed]}", style="red"),
    )
    began, done, failed = time.monotonic(), 0, 0
    with progress.Progress(*columns, console=output.messages, transient=True) as bar:
        task = bar.add_task(plan.settings.job, total=plan.left, rate="", failed="")
        for event in events:
            if isinstance(event, Progress):
                done, failed = done + event.ok + event.failed, failed + event.failed
                bar.update(
                    task,
                    completed=done,
                    description="finishing what was begun" if stop.is_set() else plan.settings.job,
                    rate=f"{done / (time.monotonic() - began):,.0f}/s",
                    failed=f"{failed:,} failed" if failed else "",
                )
            yield event


def _with_lines(
    events: Iterator[Progress | Summary], plan: Plan, output: Output, stop: threading.Event
) -> Iterator[Progress | Summary]:
    from aedeploy.jobs.engines import Progress

    began = said = time.monotonic()
    done = failed = 0
    for event in events:
        now = time.monotonic()
        if isinstance(event, Progress):
            done, failed = done + event.ok + event.failed, failed + event.failed
            if now - said >= _SECONDS_BETWEEN_LINES:
                said, rate = now, done / (now - began)
                output.note(
                    f"{plan.settings.job}: {done:,} of {plan.left:,} ({failed:,} failed), {rate:,.0f} a second, "
                    + ("finishing what was begun" if stop.is_set() else f"{(plan.left - done) / rate:,.0f} s left")
                )
        yield event


def _text(summary: Summary, plan: Plan) -> str:
    lines = [
        f"{summary.job}: {summary.ok:,} ok, {summary.skipped:,} skipped, {summary.failed:,} failed, "
        f"in {summary.seconds:.1f} s ({summary.images_per_second:,.0f} a second) → {summary.output}"
    ]
    if plan.others:
        lines.append(f"  skipped  {_some(plan.others)}: no images by their names")
    lines += [f"  failed   {failure.path}: {failure.reason}" for failure in summary.failures[:_SHOWN]]
    if summary.failed > _SHOWN:
        lines.append(f"  … and {summary.failed - _SHOWN:,} more: --json lists all of them")
    return "\n".join(lines)


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _resuming(job: str, bundle: str, options: Mapping[str, Any]) -> str:
    """The command that goes on, with the bundle named: by then, the newest may be another."""
    words = ["aedeploy", job, str(options["source"]), "--out", str(options["output"]), "--bundle", bundle]
    defaults = {"device": "cpu", "batch_size": "auto", "workers": "auto", "names": "short", "size": "original"}
    defaults["latent_format"] = "parquet"
    for name, value in options.items():
        if name in ("source", "output", "overwrite") or value in (None, False, defaults.get(name)):
            continue
        flag = "--" + {"latent_format": "format"}.get(name, name).replace("_", "-")
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)
