"""What is left to do, as shards; and every reason not to begin, before anything is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby, islice
from pathlib import Path

from aedeploy.errors import ConfigError, JobError
from aedeploy.jobs.ledger import LEDGER_FILE, Record, ledger_state, read_ledger
from aedeploy.jobs.outputs import check_collisions, check_folders, check_inputs_kept, image_output
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.shard import JOBS, Work, open_work
from aedeploy.jobs.sources import Inputs, image_inputs, latents_inputs
from aedeploy.jobs.spec import Failure, Settings, ShardSpec, Source
from aedeploy.runtime.codec import auto_batch_size, image_geometry
from aedeploy.runtime.cores import available_cores
from aedeploy.runtime.open import choose_engine

# Of one shard. By the shard and not by the machine: the same shard gives the same bytes everywhere.
_LEAST_CHUNKS = 16

_START_AGAIN = "pass --overwrite to start again, or name another folder"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A job, ready to run."""

    request: JobRequest
    settings: Settings
    workers: int
    shards: tuple[ShardSpec, ...]
    done_before: int  # inputs that an earlier run finished
    failures: tuple[Failure, ...]  # inputs that are known already to give no output
    others: tuple[str, ...]  # files that are no inputs by their names
    files: tuple[str, ...]  # what the shards will write together, in the output folder
    stale: tuple[str, ...]  # outputs of earlier runs that go, relative to the output folder
    ledger: tuple[int, int] | None  # as it was before it was read

    @property
    def left(self) -> int:
        """How many inputs there are to do."""
        return sum(len(shard.sources) for shard in self.shards)

    @property
    def inputs(self) -> int:
        """How many files (decode: rows) were seen."""
        return self.left + self.done_before + len(self.failures) + len(self.others)


def plan_job(request: JobRequest) -> Plan:
    """List the inputs, hold them against what is done, and open the graph. Nothing is written.

    Raises:
        ConfigError: the input does not exist, the output folder is in it or holds other files, two inputs would
            write one file, or an input, the bundle or a setting changed since an earlier run in that folder.
        NothingToDoError: nothing matched the input.
        BundleError, BackendError, MissingDependencyError: the graph cannot run.
        JobError: the ledger of the earlier run cannot be read.
    """
    inputs = _inputs(request)
    check_folders(request.source, request.output)
    if request.job != "encode":
        check_collisions((source.path for source in inputs.sources), request.names)
        check_inputs_kept(request.source, inputs.root, inputs.sources, request.output)
    settings = _settings(request, inputs.root)
    ledger = ledger_state(request.output)
    earlier = _earlier(request)
    record = None if request.overwrite else earlier
    if record is None:
        kept: frozenset[int] = frozenset()
        new, again = list(inputs.sources), list[Source]()
    else:
        _check_same(record, settings, inputs, request.output)
        kept = frozenset(_shards_still_there(record, request.output))
        new, again = _left(inputs.sources, record, kept, settings)
    work = open_work(settings)
    # What failed before is done last and apart, so that the other shards are what they would have been without it.
    parts = [*_parts(new, work.shard_images, settings), *_parts(again, work.shard_images, settings)]
    numbers = list(islice(_free_numbers(work, request, earlier), len(parts)))
    return Plan(
        request=request,
        settings=settings,
        workers=request.workers or available_cores(),
        shards=tuple(_shard(request, settings, *pair) for pair in zip(numbers, parts, strict=True)),
        done_before=len(inputs.sources) - len(new) - len(again),
        failures=inputs.failures,
        others=inputs.others,
        files=tuple(file for number in numbers for file in work.files(number)),
        stale=tuple(_stale(request, earlier, kept)) if earlier else (),
        ledger=ledger,
    )


def _inputs(request: JobRequest) -> Inputs:
    return latents_inputs(request.source, request.bundle) if request.job == "decode" else image_inputs(request.source)


def _settings(request: JobRequest, root: Path) -> Settings:
    bundle = request.bundle
    engine = choose_engine(bundle, backend=request.backend, format=request.model_format, pixels=request.pixels)
    graph = None
    if engine.format is not None:
        role = JOBS[request.job].ROLE
        graph = bundle.graph(role, engine.format, engine.pixels, allow_failed=request.allow_failed)
    return Settings(
        job=request.job,
        root=str(root),
        output=str(request.output),
        bundle=str(bundle.path),
        bundle_digest=bundle.manifest.digest,
        graph_sha256=graph.file.sha256 if graph else None,
        backend=engine.backend,
        model_format=engine.format,
        pixels=engine.pixels,
        device=request.device,
        allow_failed=request.allow_failed,
        latent_format=request.latent_format,
        size=request.size,
        names=request.names,
    )


def _earlier(request: JobRequest) -> Record | None:
    """What an earlier run left. A folder without a ledger must be empty: what is in it is somebody's own."""
    try:
        record = read_ledger(request.output)
    except JobError:
        if not request.overwrite:
            raise
        return None
    if record is None and not request.overwrite and request.output.is_dir():
        found = next((name for name in sorted(os.listdir(request.output)) if name != LEDGER_FILE.parts[0]), None)
        if found is not None:
            raise ConfigError(
                f"--out {request.output} holds files that no job wrote, such as {found}: name a new or empty folder, "
                "or pass --overwrite to write among them."
            )
    return record


def _check_same(record: Record, settings: Settings, inputs: Inputs, output: Path) -> None:
    """Refuse to mix what another bundle, other settings or other contents made."""
    now = settings.fingerprint()
    for key, words in {
        "job": "a job of another kind",
        "bundle_digest": "another bundle",
        "graph_sha256": "another export of the graph",
        "backend": "another backend",
        "latent_format": "another --format",
        "size": "another --size",
        "names": "another --names",
    }.items():
        before, after = record.fingerprint.get(key), now.get(key)
        if before != after:
            # Twelve characters of a digest tell enough.
            raise ConfigError(f"{output} was begun with {words} ({before!s:.12}, now {after!s:.12}): {_START_AGAIN}.")
    changed = [
        source.path
        for source in inputs.sources
        if (entry := record.entries.get(source.path))
        and entry.ok
        # One that failed may well have been repaired.
        and (entry.bytes, entry.mtime_ns) != (source.bytes, source.mtime_ns)
    ]
    if changed:
        raise ConfigError(
            f"{len(changed):,} of the inputs that are done in {output} changed since, such as {changed[0]}: "
            f"{_START_AGAIN}."
        )


def _shards_still_there(record: Record, output: Path) -> Iterator[int]:
    for number, files in record.outputs.items():
        try:
            if all((output / file.file).stat().st_size == file.bytes for file in files):
                yield number
        except OSError:
            continue


def _free_numbers(work: Work, request: JobRequest, earlier: Record | None) -> Iterator[int]:
    """Numbers of shards that are not taken: neither by an earlier run, nor by files that somebody else put there."""
    strangers = set(os.listdir(request.output)) - earlier.files if earlier else set()
    done = earlier.outputs if earlier and not request.overwrite else {}
    return (number for number in count() if number not in done and strangers.isdisjoint(work.files(number)))


def _left(
    sources: Sequence[Source], record: Record, kept: frozenset[int], settings: Settings
) -> tuple[list[Source], list[Source]]:
    """The sources that are not done, and those that failed before."""
    new, again = [], []
    for source in sources:
        entry = record.entries.get(source.path)
        if entry is None:
            new.append(source)
        elif not entry.ok:
            again.append(source)
        elif entry.shard not in kept or not _own_output_there(source, settings):
            new.append(source)
    return new, again


def _own_output_there(source: Source, settings: Settings) -> bool:
    if settings.job == "encode":
        return True
    return os.path.exists(f"{settings.output}/{image_output(source.path, settings.names)}")  # noqa: PTH110 - a million


def _parts(sources: Sequence[Source], images: int, settings: Settings) -> Iterator[tuple[Source, ...]]:
    """Shards of ``images`` sources; one of decode stays within one latents file."""
    groups = groupby(sources, key=lambda source: source.file if settings.job == "decode" else None)
    for _, group in groups:
        while part := tuple(islice(group, images)):
            yield part


def _shard(request: JobRequest, settings: Settings, number: int, sources: tuple[Source, ...]) -> ShardSpec:
    """A shard, its batch size as asked; else what suits the model, but enough chunks for many threads."""
    most = auto_batch_size(image_geometry(request.bundle))
    batch_size = request.batch_size or min(most, max(1, len(sources) // _LEAST_CHUNKS))
    return ShardSpec(settings=settings, number=number, sources=sources, batch_size=batch_size)


def _stale(request: JobRequest, earlier: Record, kept: frozenset[int]) -> Iterator[str]:
    """Outputs of earlier runs that are no longer vouched for: those of killed or altered shards, or all of them."""
    vouched = {file.file for number in kept for file in earlier.outputs[number]}
    yield from (earlier.files - vouched).intersection(os.listdir(request.output))
    names = earlier.fingerprint.get("names")
    if request.overwrite and names is not None:
        yield from (image_output(path, names) for path, entry in earlier.entries.items() if entry.ok)
