"""``aedeploy jobs``: what became of a job, and once more what failed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.options import Debug, Json, Quiet, Verbose
from aedeploy.errors import AedeployError

if TYPE_CHECKING:
    from aedeploy.jobs.status import JobStatus

jobs = typer.Typer(
    help="Say what became of a job, and do once more what failed.", no_args_is_help=True, rich_markup_mode=None
)

_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The --out of a job.")]


@jobs.command("status")
@reporting
def status(
    folder: _Folder,
    *,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Say what became of a job, of all processes that share its folder.

    How many inputs are done, failed or left, the failures by their reasons, and whether it runs now. It may be asked
    at any time: nothing is written.

    Example:

        aedeploy jobs status latents/
    """
    from aedeploy.jobs.status import job_status

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = job_status(folder)
    output.result(found.as_dict(), "\n".join(_lines(found)))


@jobs.command("retry")
@reporting
def retry(
    folder: _Folder,
    *,
    bundle: Annotated[
        str | None, typer.Option("--bundle", "-b", help="Where the job's bundle is now. Default: where it was.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Do what failed or is missing, as it was asked for.

    The ledger keeps the options of the command that began the job: this is that command again. --bundle is for a
    bundle that has moved since; another one is refused. What several processes left undone, this one does.

    Example:

        aedeploy jobs retry latents/
    """
    from aedeploy.cli.job_plan import show_plan
    from aedeploy.cli.job_request import command_of
    from aedeploy.cli.jobs import carry_out
    from aedeploy.jobs.status import recorded_request

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    request = recorded_request(folder, bundle)
    output.note(f"Again: {shlex.join(command_of(request))}")
    if dry_run:
        show_plan(request, output)
        return
    moved = [] if bundle is None else ["--bundle", bundle]
    carry_out(request, output, ["aedeploy", "jobs", "retry", str(folder), *moved])


def _lines(found: JobStatus) -> Iterator[str]:
    from aedeploy.cli.job_plan import amount

    yield f"{found.job} {found.source} → {found.output}{'  (it runs now)' if found.running else ''}"
    grey = found.options.get("grey_bundle")
    yield f"  bundle     {found.bundle}, {found.bundle_digest[:12]}" + (f"; for grey images {grey}" if grey else "")
    if options := _options(found):
        yield f"  options    {shlex.join(options)}"
    known = "not all are listed yet" if found.inputs is None else f"{found.inputs:,}"
    missing = f", {found.missing:,} done once but their outputs are gone" if found.missing else ""
    left = "" if found.left is None else f", {found.left:,} left"
    yield f"  inputs     {known}: {found.ok:,} ok, {found.failed:,} failed{left}{missing}"
    yield f"  shards     {found.shards:,}, {amount(found.bytes)} of outputs"
    if found.processes:
        yield f"  processes  {', '.join(found.processes)}"
    yield f"  began      {_time(found.began)}, last commit {_time(found.last_commit)}"
    for group in found.failures:
        more = ", …" if group.count > len(group.examples) else ""
        yield f"  failed     {group.count:,}: {group.reason} ({', '.join(group.examples)}{more})"
    if not found.running and (found.failed or found.missing or found.left != 0):
        yield f"  To do what failed or is missing:  aedeploy jobs retry {shlex.quote(found.output)}"


def _options(found: JobStatus) -> list[str]:
    """What was asked for beyond the usual, as it is typed; nothing where that can no longer be told."""
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.cli.job_request import options_of
    from aedeploy.jobs.request import recalled

    try:
        return options_of(recalled(found.options, find_bundle(found.bundle)))
    except AedeployError:
        return []


def _time(seconds: float | None) -> str:
    return "never" if not seconds else datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
