"""What the ledgers of an output folder say, of all processes that shared it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.bundle.locate import find_bundle
from aedeploy.errors import ConfigError, NothingToDoError
from aedeploy.images.write import ImageOptions
from aedeploy.jobs.earlier import shards_there
from aedeploy.jobs.known import Known
from aedeploy.jobs.ledger import Part, Record, is_held, ledger_paths, read_ledgers
from aedeploy.jobs.outputs import image_output
from aedeploy.jobs.request import JobRequest, recalled
from aedeploy.jobs.spec import Failure

_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Inputs that failed alike."""

    reason: str  # of the first of them; those of the others may differ in their figures
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job as its ledgers have it. ``None``: not known, since no run has seen all inputs yet."""

    output: str
    job: str
    bundle: str  # its folder, when the job was begun
    bundle_digest: str
    source: str
    options: Mapping[str, Any]  # all that was asked for
    inputs: int | None
    ok: int
    failed: int
    missing: int  # done once, and their outputs are there no more
    left: int | None  # neither ok nor failed; the missing among them
    shards: int
    bytes: int  # of the outputs that are there
    began: float  # seconds since 1970
    last_commit: float | None
    running: bool  # whether a process has it now
    processes: tuple[str, ...]  # the parts i/n that have a ledger of their own
    failures: tuple[FailureGroup, ...]  # the largest first

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def job_status(output: Path) -> JobStatus:
    """Read the ledgers. Nothing is written, and a job that runs is not disturbed.

    Raises:
        NothingToDoError: there is no job in ``output``.
        JobError: a ledger cannot be read.
    """
    record = _record(output)
    vouched = dict(shards_there(record, output))
    ok, shards = Known(record).latest()
    there = ok & np.isin(shards, np.fromiter(vouched, np.int64, len(vouched)))
    failed = _failures(record)
    size, lost = sum(vouched.values()), 0
    if record.fingerprint.get("container") == "tree" and (record.fingerprint.get("scoring") or {}).get(
        "heatmaps", True
    ):
        more, lost = _tree(record, output, failed)
        size += more
    done = int(there.sum()) - lost
    inputs = _inputs(record, int(ok.sum()) + len(failed))
    return JobStatus(
        output=str(output),
        job=record.fingerprint["job"],
        bundle=record.request["bundle"],
        bundle_digest=record.fingerprint["bundle_digest"],
        source=record.request["source"],
        options=record.request,
        inputs=inputs,
        ok=done,
        failed=len(failed),
        missing=int(ok.sum()) - done,
        left=None if inputs is None else max(0, inputs - done - len(failed)),
        shards=len(record.shards),
        bytes=size,
        began=record.began,
        last_commit=record.shards[-1].at if record.shards else None,
        running=any(map(is_held, ledger_paths(output))),
        processes=tuple(f"{number}/{of}" for number, of in sorted(_parts(output)) if of > 1),
        failures=tuple(_grouped(failed)),
    )


def recorded_request(output: Path, bundle: str | None = None) -> JobRequest:
    """What was asked for in ``output``, to be asked again: it does what failed or is missing.

    ``bundle``: where the bundle is now, if it was moved.

    Raises:
        NothingToDoError: there is no job in ``output``.
        JobError: a ledger cannot be read.
        ConfigError: the inputs were named on stdin, or this release does not know an option.
        BundleError: the bundle is not there any more.
    """
    record = _record(output)
    if record.request.get("source") == "-":
        raise ConfigError(
            f"The inputs of the job in {output} were listed on stdin, which is gone: run its command again, with them."
        )
    request = recalled(record.request, find_bundle(bundle or record.request["bundle"]))
    return replace(request, output=output)  # which may have been moved


def _record(output: Path) -> Record:
    if not output.is_dir():
        raise ConfigError(f"There is no folder {output}: name the --out of a job.")
    record = read_ledgers(output)
    if record is None:
        raise NothingToDoError(f"There is no job in {output}: no ledger in {output / '.aedeploy'}.")
    return record


def _failures(record: Record) -> dict[str, str]:
    """The reason of every input that failed when it was last dealt with."""
    failed: dict[str, str] = {}
    for shard in record.shards:
        if failed:
            for member in shard.members():
                failed.pop(member.path, None)
        failed |= {failure.path: failure.reason for failure in shard.failures}
    for counts in _listed(record).values():
        failed |= dict(counts.get("failures", ()))
    return failed


def _listed(record: Record) -> dict[Part, dict[str, Any]]:
    """What was listed, of one number of processes: of the one of which all came to the end."""
    for of in sorted({of for _, of in record.listed}):
        chosen = {part: counts for part, counts in record.listed.items() if part[1] == of}
        if len(chosen) == of:
            return chosen
    return {}


def _inputs(record: Record, at_least: int) -> int | None:
    listed = _listed(record)
    return max(at_least, sum(counts["inputs"] for counts in listed.values())) if listed else None


def _parts(output: Path) -> set[Part]:
    found = (re.fullmatch(r"ledger-(\d+)-of-(\d+)\.jsonl", path.name) for path in ledger_paths(output))
    return {(int(match[1]), int(match[2])) for match in found if match}


def _tree(record: Record, output: Path, failed: Mapping[str, str]) -> tuple[int, int]:
    """The bytes of images that have a file each, and how many are not there."""
    names, extension = record.fingerprint["names"], ImageOptions(**record.fingerprint["images"]).extension
    size, lost, seen = 0, 0, set[int]()
    for shard in record.shards:
        for member in shard.members():
            if member.path in failed or (key := hash(member.path)) in seen:
                continue
            seen.add(key)
            try:
                size += os.stat(f"{output}/{image_output(member.path, names, extension)}").st_size  # noqa: PTH116
            except OSError:
                lost += 1
    return size, lost


def _grouped(failed: Mapping[str, str]) -> list[FailureGroup]:
    groups: dict[str, list[Failure]] = {}
    for path, reason in sorted(failed.items()):
        alike = re.sub(r"\d+", "0", reason)
        groups.setdefault(alike, []).append(Failure(path=path, reason=reason))
    return sorted(
        (
            FailureGroup(
                reason=group[0].reason,
                count=len(group),
                examples=tuple(failure.path for failure in group[:_EXAMPLES]),
            )
            for group in groups.values()
        ),
        key=lambda group: -group.count,
    )
