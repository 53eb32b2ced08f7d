"""The threshold of ``reconstruct --score``: a quantile of the errors of images that are known to be normal.

They are read, run and measured exactly as the job's own. What comes of it is kept in the output folder, in
``.aedeploy/calibration.json``, with a key of all that it depends on: a resume, or another process of the same job,
finds it there.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from math import ceil
from pathlib import Path

import numpy as np

from aedeploy.errors import ConfigError
from aedeploy.files import write_json
from aedeploy.images.read import quiet_pillow
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.ledger import OWN_FOLDER
from aedeploy.jobs.outputs import check_folders
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.shard import open_work
from aedeploy.jobs.sources import Selection, find_origin, list_inputs
from aedeploy.jobs.spec import Failure, Origin, Scoring, Settings, Source
from aedeploy.runtime.codec import auto_batch_size, image_geometry
from aedeploy.runtime.cores import available_cores

_FILE = Path(OWN_FOLDER) / "calibration.json"

# Images at their own sizes, which a chunk holds all of.
_MOST_OF_ANY_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A threshold, and where it comes from."""

    key: str  # of the images, and of all else that it depends on
    folder: str
    quantile: float
    threshold: float  # of ``mse``; a float32, as the scores are
    images: int  # that it was measured on
    failed: int  # that were left out
    first_failure: tuple[str, str] | None  # path and reason

    @property
    def told(self) -> str:
        """It in a sentence."""
        text = (
            f"The threshold is {self.threshold:.6g}: the {self.quantile:g} quantile of the errors of {self.images:,} "
            f"images in {self.folder}"
        )
        if self.first_failure is None:
            return f"{text}."
        path, reason = self.first_failure
        return f"{text}; {self.failed:,} were left out, such as {path}: {reason}."

    def save(self, output: Path) -> None:
        """Keep it in an output folder, atomically, where it is not there already.

        Raises:
            OSError: it cannot be written.
        """
        if _kept(output) != self:
            write_json(output / _FILE, asdict(self))


def calibrate(request: JobRequest, settings: Settings) -> Calibration:
    """The calibration of a job, from its output folder or measured now. Nothing is written.

    Raises:
        ConfigError: there are no images, or too few for the quantile.
        BackendError: the graph failed.
    """
    location = str(request.calibrate)
    if location == "-":
        raise ConfigError("--calibrate is a folder: it cannot come from stdin.")
    origin = find_origin(location)
    if origin.kind == "folder":
        check_folders(Path(origin.location), request.output)
    key = _key(origin, request, settings)
    kept = _kept(request.output)
    if kept is not None and kept.key == key:
        return kept
    errors, failures = _measured(origin, request, settings)
    # A threshold of fewer is their largest error, whatever the quantile says.
    needed = ceil(1 / (1 - request.quantile) - 1e-9)
    if len(errors) < needed:
        left_out = f", and {len(failures):,} that failed, such as {_named(failures[0])}" if failures else ""
        raise ConfigError(
            f"--quantile {request.quantile:g} takes {needed:,} images at least, and --calibrate {location} has "
            f"{len(errors):,}{left_out}: give more, or a lower quantile."
        )
    return Calibration(
        key=key,
        folder=location,
        quantile=request.quantile,
        threshold=float(np.float32(np.quantile(errors.astype(np.float64), request.quantile))),
        images=len(errors),
        failed=len(failures),
        first_failure=(failures[0].path, failures[0].reason) if failures else None,
    )


def _named(failure: Failure) -> str:
    return f"{failure.path} ({failure.reason})"


def _kept(output: Path) -> Calibration | None:
    try:
        values = json.loads((output / _FILE).read_text(encoding="utf-8"))
        first = values["first_failure"]
        return Calibration(**values | {"first_failure": tuple(first) if first else None})
    except (OSError, ValueError, KeyError, TypeError):  # none, damaged, or of another release: measured again
        return None


def _key(origin: Origin, request: JobRequest, settings: Settings) -> str:
    """A digest of everything that makes another threshold."""
    digest = hashlib.sha256()
    for group in list_inputs(origin, _selection(request)):
        for source in group.sources:
            digest.update(json.dumps([source.path, source.bytes, source.stamp]).encode() + b"\n")
    fingerprint = replace(settings, scoring=Scoring(), tile=request.tile).fingerprint()
    rest = [request.quantile, request.max_pixels, settings.pixels, fingerprint]
    digest.update(json.dumps(rest, sort_keys=True).encode())
    return digest.hexdigest()


def _selection(request: JobRequest) -> Selection:
    """All images: ``--include`` and ``--exclude`` are about another folder."""
    return Selection(links=request.selection.links)


def _measured(origin: Origin, request: JobRequest, settings: Settings) -> tuple[np.ndarray, list[Failure]]:
    """The error of every image, float32 [N], and the images that have none."""
    size = request.batch_size or auto_batch_size(image_geometry(request.bundle))
    if settings.any_size:
        size = min(size, _MOST_OF_ANY_SIZE)
    work = open_work(replace(settings, origin=origin, scoring=Scoring()))
    workers = request.workers or available_cores()
    gate, failures = ReadingGate(workers), list[Failure]()
    errors = [np.zeros(0, np.float32)]
    with quiet_pillow(), ThreadPoolExecutor(workers, "calibration") as threads:
        waiting: deque[Future[Chunk]] = deque()
        batches = _batches(origin, request, size, failures)
        for batch in batches:
            waiting.append(threads.submit(work.chunk, batch, gate, {}))
            if len(waiting) > 2 * workers:
                _take(waiting, errors, failures)
        while waiting:
            _take(waiting, errors, failures)
    return np.concatenate(errors), failures


def _take(waiting: deque[Future[Chunk]], errors: list[np.ndarray], failures: list[Failure]) -> None:
    chunk = waiting.popleft().result()
    failures += chunk.failures
    if chunk.rows:
        errors.append(chunk.arrays["mse"])


def _batches(origin: Origin, request: JobRequest, size: int, failures: list[Failure]) -> Iterator[tuple[Source, ...]]:
    """The images, so many at a time; what is no image for a known reason becomes a failure."""

    def sources() -> Iterator[tuple[Source, ...]]:
        for group in list_inputs(origin, _selection(request)):
            failures.extend(group.failures)
            yield group.sources

    images = chain.from_iterable(sources())
    while batch := tuple(islice(images, size)):
        yield batch
