"""What a job would do, and about how long it would take; nothing is written."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.hints import first_headers, geometry_of, scaled_hint
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.shard import Work, open_work
from aedeploy.jobs.spec import Failure, ShardSpec, Source, StageSeconds

# At least so many inputs are run, and at most twice as many kept.
_SAMPLED = 64
_SECONDS = 10.0
_BYTES = 64 * 2**20  # of inputs whose contents came with the listing

# Of an image, from which on it makes no difference how many are run at a time.
_DEAR = 0.01
_FEW = 8

#: What the sample is drawn from: inputs that are run together.
Piece = tuple[Source, ...]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some inputs of all over the job, run through everything but the writing of files."""

    images: int = 0
    failures: tuple[Failure, ...] = ()
    seconds: StageSeconds = field(default_factory=dict)  # of one worker, for all of them: read, decode, infer, write
    bytes: int = 0  # of what would be written
    sigma: tuple[float, float] | None = None  # the least and the most noise that the model was told of; None: of none

    @property
    def seconds_per_image(self) -> float:
        return sum(self.seconds.values()) / self.images if self.images else 0.0


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """The plan of a job. What is estimated is so from the sample, and does without the time of disks and start-up."""

    job: str
    bundle: str
    source: str
    output: str
    inputs: int  # of this process
    bytes: int  # of those that are to do
    shards: int
    to_do: int
    done: int  # by an earlier run
    skipped: int  # files that are no inputs
    elsewhere: int  # inputs that other processes of --shard have
    failures: tuple[Failure, ...]  # inputs that are known already to give no output, but for the following
    collisions: tuple[Failure, ...]  # inputs that would write the output of another
    refused: str | None  # why the job would not begin
    geometry: str
    denoising: dict[str, Any] | None  # of the job denoise: see Plan.denoising
    hint: str | None  # how it would be faster
    backend: str
    device: str
    workers: int | None  # None: as many as the cluster has; the estimate is that of one
    sample: Sample
    estimated_seconds: float
    estimated_output_bytes: int

    def as_dict(self) -> dict[str, Any]:
        values = asdict(self)
        values["sample"]["seconds_per_image"] = self.sample.seconds_per_image
        return values


def dry_run(request: JobRequest) -> DryRun:
    """List all inputs, hold them against what is done, and run a sample of them.

    Raises:
        AedeployError: what ``plan_job`` raises, but for what is wrong with single inputs, and what the graph does.
    """
    refusals: list[str] = []
    plan = plan_job(request, refusals.append)
    try:
        hint = scaled_hint(plan, first_headers(plan))
        draw = _Draw(together=request.job == "decode")
        for spec in plan.cutter.shards():
            draw.add(spec)
        sample = _measured(plan, draw)
    finally:
        open_work.cache_clear()
    result = _result(plan, refusals, sample)
    return replace(result, hint=hint, bytes=draw.bytes)


def _result(plan: Plan, refusals: Sequence[str], sample: Sample) -> DryRun:
    counts, settings = plan.seen, plan.settings
    collided = {id(failure) for failure in counts.collisions}
    of_all = counts.to_do / sample.images if sample.images else 0.0
    return DryRun(
        job=settings.job,
        bundle=plan.request.bundle.name,
        source=str(plan.request.source),
        output=str(plan.request.output),
        inputs=counts.inputs,
        bytes=counts.bytes,
        shards=counts.shards,
        to_do=counts.to_do,
        done=counts.done,
        skipped=counts.others,
        elsewhere=counts.elsewhere,
        failures=tuple(failure for failure in counts.failures if id(failure) not in collided),
        collisions=tuple(counts.collisions),
        refused=refusals[0] if refusals else None,
        geometry=geometry_of(plan),
        denoising=plan.denoising,
        hint=None,
        backend=settings.backend,
        device=settings.device,
        workers=plan.workers or None,
        sample=sample,
        estimated_seconds=round(counts.to_do * sample.seconds_per_image / (plan.workers or 1), 1),
        estimated_output_bytes=round(sample.bytes * of_all),
    )


class _Draw:
    """Some pieces of a listing of unknown length, evenly from all over it: single inputs, or neighbours."""

    def __init__(self, *, together: bool) -> None:
        """``together``: neighbours are run together, as the rows of one file must be."""
        self.pieces: list[Piece] = []
        self.bytes = 0  # of all inputs
        self.together = together
        self._batch, self._file = 1, ""
        self._step, self._at = 1, 0

    def add(self, spec: ShardSpec) -> None:
        self._batch = max(self._batch, spec.batch_size)
        size = spec.batch_size if self.together else 1
        for start in range(0, len(spec.sources), size):
            if self._at % self._step == 0:
                self.pieces.append(spec.sources[start : start + size])
                if self._is_much(size):
                    self.pieces, self._step = self.pieces[::2], self._step * 2
            self._at += 1
        for source in spec.sources:
            # Of rows of one file, the file counts once.
            if not self.together or source.file != self._file:
                self.bytes += source.bytes
                self._file = source.file

    def chunks(self, pieces: Sequence[Piece], most: int) -> Iterator[Piece]:
        """What is run at a time: no more single inputs than that, and than a batch has; or a piece of neighbours."""
        if self.together:
            yield from pieces
            return
        sources, size = [source for piece in pieces for source in piece], min(most, self._batch)
        yield from (tuple(sources[start : start + size]) for start in range(0, len(sources), size))

    def _is_much(self, size: int) -> bool:
        held = sum(len(source.data or b"") for piece in self.pieces for source in piece)
        return len(self.pieces) > 1 and (len(self.pieces) > max(4, 2 * _SAMPLED // size) or held > _BYTES)


def _measured(plan: Plan, draw: _Draw) -> Sample:
    """Run what was drawn until there are enough images, or it has taken long enough."""
    if not draw.pieces:
        return Sample()
    # As a tar, images are encoded in memory, and would be written with the shard.
    work: Work = open_work(replace(plan.settings, container="tar"))
    pieces = random.Random(0).sample(draw.pieces, len(draw.pieces))
    work.chunk(pieces[0][:1], ReadingGate(1), {})  # what takes its time only once
    first = _run(work, draw.chunks(pieces, _FEW), _FEW)
    # A large image costs the same alone; of small ones, a batch costs less than one by one.
    dear = draw.together or first.seconds_per_image > _DEAR
    return _run(work, draw.chunks(pieces, _FEW if dear else _SAMPLED), _SAMPLED)


def _run(work: Work, chunks: Iterator[Piece], enough: int) -> Sample:
    gate, seconds = ReadingGate(1), StageSeconds()
    images, written, failures, sigmas = 0, 0, list[Failure](), list[float]()
    began = time.perf_counter()
    for chunk in chunks:
        made = work.chunk(chunk, gate, seconds)
        images += len(chunk)
        failures += made.failures
        written += _size(made)
        sigmas += [row.sigma for row in made.rows if row.sigma is not None]
        if images >= enough or time.perf_counter() - began > _SECONDS:
            break
    told = (min(sigmas), max(sigmas)) if sigmas else None
    return Sample(images=images, failures=tuple(failures), seconds=seconds, bytes=written, sigma=told)


def _size(chunk: Chunk) -> int:
    images = sum(len(row.content or b"") for row in chunk.rows)
    return images + sum(array.nbytes for array in chunk.arrays.values())
