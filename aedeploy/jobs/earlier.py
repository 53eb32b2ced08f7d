"""What earlier runs left in the output folder: whether to go on from it, what stays, and what is in the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from aedeploy.errors import ConfigError, JobError
from aedeploy.images.write import ImageOptions
from aedeploy.jobs.cut import free_numbers
from aedeploy.jobs.latents import latents_files
from aedeploy.jobs.ledger import OWN_FOLDER, Record, is_held, ledger_paths, read_ledgers
from aedeploy.jobs.outputs import image_output
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.sinks import Sink
from aedeploy.jobs.sinks.latents import LatentsSink
from aedeploy.jobs.sinks.scores import scores_file
from aedeploy.jobs.sinks.tar import images_file
from aedeploy.jobs.spec import USUAL_DENOISING, Settings

_START_AGAIN = "pass --overwrite to start again, or name another folder"


def earlier_record(request: JobRequest) -> Record | None:
    """What earlier runs left in the output folder; None where none ran there.

    Raises:
        ConfigError: it has no ledger and is not empty: what is in it is somebody's own.
        JobError: the ledger cannot be read, or others work there as one of another number of processes.
    """
    refuse_other_numbers(request)
    record = read_ledgers(request.output)
    if record is None and not request.overwrite and request.output.is_dir():
        found = next((name for name in sorted(os.listdir(request.output)) if name != OWN_FOLDER), None)
        # Another of several processes may have begun just now.
        if found is not None and (record := read_ledgers(request.output)) is None:
            raise ConfigError(
                f"--out {request.output} holds files that no job wrote, such as {found}: name a new or empty folder, "
                "or pass --overwrite to write among them."
            )
    return record


def refuse_other_numbers(request: JobRequest) -> None:
    """See that no process works there as one of another number of processes: their shards are cut apart otherwise.

    Raises:
        JobError: one does.
    """
    for path in ledger_paths(request.output):
        if _of(path.name) != request.part[1] and is_held(path):
            raise JobError(
                f"Another job is writing to {request.output}, as one of another number of processes: "
                "wait for it to end, or name another folder."
            )


def _of(ledger: str) -> int:
    return int(ledger.removesuffix(".jsonl").rpartition("-")[2]) if "-of-" in ledger else 1


_WORDS = {
    "job": "a job of another kind",
    "scoring": "other options of --score",
    "bundle_digest": "another bundle",
    "graph_sha256": "another export of the graph",
    "backend": "another backend",
    "reading": "another way to read images (--resize, --decode)",
    "latent_format": "another --format",
    "latent_dtype": "another --dtype",
    "images": "another way to write images (--image-format, --quality, --compression)",
    "container": "another --container",
    "size": "another --size",
    "any_size": "another --size",
    "names": "another --names",
    "tile": "another --tile",
    "sigma": "another --sigma",
    "strength": "another --strength",
    "compare": "another choice of --compare",
    "grey_bundle_digest": "another bundle for grey images",
    "grey_graph_sha256": "another export of the graph for grey images",
}

# Of what a fingerprint leaves out: what it is then, as it is typed.
_USUAL = USUAL_DENOISING | {"sigma": "auto"}


def check_same(record: Record, settings: Settings, request: JobRequest) -> None:
    """Refuse to mix what another bundle or other settings made.

    Raises:
        ConfigError: they did.
    """
    now = settings.fingerprint()
    for key, words in _WORDS.items():
        before, after = record.fingerprint.get(key), now.get(key)
        if before != after:
            usual = _USUAL.get(key)
            values = [usual if value is None else value for value in (before, after)]
            told = f" ({_told(values[0])}, now {_told(values[1])})" if not isinstance(before, dict) else ""
            raise ConfigError(f"{request.output} was begun with {words}{told}: {_START_AGAIN}.")


def _told(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value!s:.12}"  # twelve characters of a digest tell enough


def shards_there(record: Record, output: Path) -> Iterator[tuple[int, int]]:
    """The numbers of the shards whose files are as they were written, and the bytes of those files."""
    for number, files in record.outputs.items():
        try:
            if all((output / file.file).stat().st_size == file.bytes for file in files):
                yield number, sum(file.bytes for file in files)
        except OSError:
            continue


def free_numbers_of(sink: Sink, request: JobRequest, earlier: Record | None) -> Iterator[int]:
    """Numbers of shards that are taken neither by an earlier run, nor by files that somebody else put there."""
    mine = {name for number in earlier.numbers() for name in _shard_files(earlier, number, sink)} if earlier else set()
    strangers = set(os.listdir(request.output)) - mine if request.output.is_dir() and sink.files(0) else set()
    taken = set(earlier.outputs) if earlier and not request.overwrite else set()
    return free_numbers(taken, request.part, lambda number: not strangers.isdisjoint(sink.files(number)))


def _shard_files(earlier: Record, number: int, sink: Sink) -> Iterator[str]:
    """The names of what a shard of an earlier run wrote as a whole. Those of the job that begins now, which may be
    another with --overwrite, could be somebody else's files.
    """
    written = earlier.fingerprint
    if written["job"] == "encode":
        outputs = sink.outputs if isinstance(sink, LatentsSink) else ("latent",)
        yield from latents_files(written["latent_format"], number, outputs)
    elif written.get("container") == "tar":
        yield images_file(number)
    if written.get("scoring"):
        yield scores_file(number)


def stale_outputs(earlier: Record, kept: set[int], sink: Sink, request: JobRequest) -> Iterator[str]:
    """Outputs of earlier runs that are no longer vouched for: those of killed or altered shards, or all of them."""
    vouched = {file.file for number in kept for file in earlier.outputs[number]}
    # Of several processes each clears away what has a number that is its own, whoever began it.
    process, of = (0, 1) if request.overwrite else request.part
    begun = {number for number in earlier.numbers() if number % of == process}
    there = set(os.listdir(request.output))
    for number in sorted(begun):
        yield from (name for name in _shard_files(earlier, number, sink) if name in there and name not in vouched)
    yield from (
        file.file
        for shard in earlier.shards
        if request.overwrite
        for file in shard.outputs
        if file.file in there and file.file not in vouched
    )
    names, images = earlier.fingerprint.get("names"), earlier.fingerprint.get("images")
    if request.overwrite and names is not None and images is not None:
        yield from _own_outputs(earlier, names, images)


def _own_outputs(earlier: Record, names: str, images: dict[str, object]) -> Iterator[str]:
    """The images that an earlier job wrote, each a file of its own."""
    if earlier.fingerprint.get("container") != "tree":
        return
    extension = ImageOptions(**images).extension  # type: ignore[arg-type]
    for shard in earlier.shards:
        failed = {failure.path for failure in shard.failures}
        for member in shard.members():
            if member.path not in failed:
                yield image_output(member.path, names, extension)  # type: ignore[arg-type]
