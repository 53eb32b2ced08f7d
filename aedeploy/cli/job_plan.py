"""``--dry-run``: the plan of a job, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from aedeploy.cli.console import Output, counted
from aedeploy.cli.job_progress import bottleneck, duration
from aedeploy.errors import ConfigError

if TYPE_CHECKING:
    from aedeploy.jobs.dry_run import DryRun
    from aedeploy.jobs.request import JobRequest
    from aedeploy.jobs.spec import Failure

_SHOWN = 10


def show_plan(request: JobRequest, output: Output) -> None:
    """Print what a job would do; where it would not begin, why, with the exit code that it would end with."""
    from aedeploy.jobs.dry_run import dry_run

    plan = dry_run(request)
    output.result(plan.as_dict(), "\n".join(_lines(plan)))
    if plan.hint:
        output.note(plan.hint)
    if plan.refused:
        output.error(f"It would be refused: {plan.refused}")
        raise typer.Exit(ConfigError.exit_code)


def _lines(plan: DryRun) -> Iterator[str]:
    yield f"{plan.job} {plan.source} → {plan.output}  (a dry run: nothing is written)"
    workers = counted(plan.workers, "worker") if plan.workers else "as many workers as the cluster has"
    grey = plan.denoising and plan.denoising["grey_bundle"]
    bundles = f"{plan.bundle} (grey images: {grey})" if grey else plan.bundle
    yield f"  bundle     {bundles}, {plan.backend} on {plan.device}, {workers}"
    done = f", {plan.done:,} done already" if plan.done else ""
    elsewhere = f"; {plan.elsewhere:,} are of other processes" if plan.elsewhere else ""
    yield f"  inputs     {plan.inputs:,}: {plan.to_do:,} to do{done}{elsewhere}"
    yield f"  shards     {plan.shards:,}, {amount(plan.bytes)} to read"
    yield f"  geometry   {plan.geometry}"
    if plan.denoising is not None:
        yield f"  noise      {_noise(plan)}"
    if plan.skipped:
        yield f"  skipped    {counted(plan.skipped, 'file')}: no images by their names, or not selected"
    yield from _failures("collides", plan.collisions)
    yield from _failures("fails", plan.failures)
    sample = plan.sample
    if sample.images:
        measured = f"{counted(sample.images, 'input')} measured, {len(sample.failures):,} of which failed"
        alone = "" if plan.workers else " by one worker"
        yield f"  estimated  {duration(plan.estimated_seconds)}{alone}, {amount(plan.estimated_output_bytes)} to write"
        yield f"             from {measured}: {1000 * sample.seconds_per_image:.2f} ms of one worker each,"
        yield f"             most of it {', '.join(bottleneck(sample.seconds))}; without start-up and the disk's time"
    yield from _failures("failed", sample.failures)


def _noise(plan: DryRun) -> str:
    assert plan.denoising is not None
    sigma, strength, told = plan.denoising["sigma"], plan.denoising["strength"], plan.sample.sigma
    if sigma is None:
        words = "the model is told nothing of it"
    elif sigma == "auto":
        words = "sigma is estimated for each image"
        words += f": {told[0]:.1f} to {told[1]:.1f} of 255 in the sample" if told else ""
    else:
        words = f"sigma is {sigma:g} of 255 for every image"
    if strength != 1:
        words += f"; strength {strength:g}"
    return f"{words}; before and after are written" if plan.denoising["compare"] else words


def _failures(word: str, failures: Sequence[Failure]) -> Iterator[str]:
    for failure in failures[:_SHOWN]:
        yield f"  {word:9}  {failure.path}: {failure.reason}"
    if len(failures) > _SHOWN:
        yield f"             … and {len(failures) - _SHOWN:,} more: --json lists all of them"


def amount(size: int) -> str:
    """``512 bytes``, ``3.1 MB``, in powers of a thousand."""
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if size >= 10**power:
            return f"{size / 10**power:.1f} {unit}"
    return counted(size, "byte")
