"""``benchmark``: every contender in a process of its own, in rounds that go over all of them in turn.

Whatever slows the machine for a while slows every contender alike; a figure is the median of its rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aedeploy import __version__
from aedeploy.bench.contenders import BASELINE, MEASURED, Absence, Contender, Variant, contenders
from aedeploy.bench.machine import machine
from aedeploy.bench.process import Worker
from aedeploy.bench.quality import compare, golden_reconstructions, originals
from aedeploy.bench.result import YARDSTICK, BenchReport, Row
from aedeploy.bundle import Bundle
from aedeploy.bundle.manifest import Role
from aedeploy.bundle.software import direct_packages
from aedeploy.errors import BackendError, ConfigError
from aedeploy.images.pixels import to_bytes, to_floats
from aedeploy.runtime.cores import available_cores


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is being done, ``done`` of ``total`` steps."""

    what: str
    done: int
    total: int


@dataclass(kw_only=True)
class _Entry:
    """A contender, its process while it has one, and what its rounds gave."""

    contender: Contender
    worker: Worker | None = None
    rounds: list[dict[str, Any]] = field(default_factory=list)
    reconstruction: np.ndarray | None = None

    def failed(self, error: BackendError) -> None:
        self.contender = replace(self.contender, status="failed to run", reason=str(error))
        self.rounds.clear()
        if self.worker is not None:
            self.worker.close()
            self.worker = None


def benchmark(
    bundle: Bundle,
    variants: Sequence[Variant],
    *,
    role: Role = "autoencoder",
    batch: int = 32,
    rounds: int = 5,
    threads: int | None = None,
    devices: Sequence[str] = ("cpu",),
    absent: Mapping[Variant, Absence] | None = None,
    module: str | None = None,
) -> Iterator[Progress | BenchReport]:
    """Measure variants of a bundle; PyTorch beside them where it is installed. The last item is the report.

    Args:
        bundle: an opened bundle; nothing in it is changed.
        variants: (format, pixels) of graphs that it has.
        role: the graph that is timed. Error and PSNR are those of the reconstruction, whichever it is.
        batch: images a call, where throughput is measured.
        rounds: how often each is measured.
        threads: of each engine; by default the cores that this process may use.
        devices: cpu, cuda, mps.
        absent: what the bundle does not have, for a row that says why.
        module: of somebody's own model, the code that may be imported to run its weights beside its exports.

    Raises:
        ConfigError: the model has no such graph, or a number is out of range.
        BackendError: a device that was asked for is not there, or nothing could be measured.
    """
    if bundle.manifest.latent is None and role != "autoencoder":
        raise ConfigError(f"The model of bundle {bundle.name!r} cannot be cut: it has an autoencoder only.")
    if min(batch, rounds, threads or 1) < 1:
        raise ConfigError("Batch, rounds and threads must be 1 or more.")
    threads = threads or available_cores()
    found = contenders(bundle, role, variants, devices, absent, module)
    entries = [_Entry(contender=one) for one in found]
    settings = {
        "bundle": str(bundle.path.absolute()),
        "role": role,
        "batch": batch,
        "threads": threads,
        "module": module,
    }
    total = len(entries) * (rounds + 2)
    with ExitStack() as stack:
        for at, entry in enumerate(entries):
            yield Progress(what=f"opening {entry.contender.name}", done=at, total=total)
            _start(entry, settings, stack)
        _refuse_missing_devices(entries, devices)
        for turn in range(rounds):
            for at, entry in enumerate(entries):
                done = (turn + 1) * len(entries) + at
                yield Progress(what=f"round {turn + 1} of {rounds}: {entry.contender.name}", done=done, total=total)
                _measure(entry)
        yield Progress(what="comparing the reconstructions", done=(rounds + 1) * len(entries), total=total)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aedeploy-bench-")))
        images, reference, where = _quality(bundle, entries, settings, folder, stack)
    yield BenchReport(
        bundle=bundle.name,
        digest=bundle.manifest.digest,
        role=role,
        image_shape=(bundle.manifest.image.channels, bundle.manifest.image.height, bundle.manifest.image.width),
        batch=batch,
        rounds=rounds,
        threads=threads,
        reference=where,
        machine=machine(),
        versions={"aedeploy": __version__, **direct_packages()},
        rows=_rows(entries, images, reference),
    )


def _start(entry: _Entry, settings: Mapping[str, Any], stack: ExitStack) -> None:
    one = entry.contender
    if one.status not in MEASURED:
        return
    task = {**settings, "backend": one.backend, "format": one.format, "pixels": one.pixels, "device": one.device}
    entry.worker = stack.enter_context(Worker(task))
    try:
        entry.worker.ask("open")
    except BackendError as error:
        entry.failed(error)


def _refuse_missing_devices(entries: Sequence[_Entry], devices: Sequence[str]) -> None:
    """A device on which nothing could be opened is not there; what was asked for is never left out in silence."""
    for device in devices:
        there = [entry for entry in entries if entry.contender.device == device]
        if any(entry.worker for entry in there):
            continue
        reasons = [entry.contender.reason for entry in there if entry.contender.reason]
        why = " ".join(dict.fromkeys(reasons)) or "no engine of what is to be measured knows it."
        raise BackendError(f"Nothing could be run on {device}: {why}")


def _measure(entry: _Entry) -> None:
    if entry.worker is None:
        return
    try:
        entry.rounds.append(entry.worker.ask("round"))
    except BackendError as error:
        entry.failed(error)


def _quality(
    bundle: Bundle, entries: Sequence[_Entry], settings: Mapping[str, Any], folder: Path, stack: ExitStack
) -> tuple[np.ndarray, np.ndarray, str]:
    """Have every contender reconstruct the same images; give these, what PyTorch makes of them, and who said so."""
    baselines = [entry for entry in entries if entry.contender.format is None and entry.worker]
    on_cpu = next((entry for entry in baselines if entry.contender.device == "cpu"), None)
    images, inputs, reference = golden_reconstructions(bundle)
    where = "golden vectors"
    if on_cpu is None and baselines:
        # A GPU rounds in its own way: the reference is the processor's.
        on_cpu = _Entry(contender=replace(baselines[0].contender, device="cpu"))
        _start(on_cpu, settings, stack)
    given = folder / "inputs.npz"
    if on_cpu is not None and on_cpu.worker:
        samples, of_samples = originals(bundle)
        np.savez(given, **of_samples)  # type: ignore[arg-type]
        _reconstruct(on_cpu, given, folder / "reference.npy")
        if on_cpu.reconstruction is not None:
            images, inputs, reference = samples, of_samples, on_cpu.reconstruction
            where = f"PyTorch ({BASELINE}, cpu)"
    np.savez(given, **inputs)  # type: ignore[arg-type]
    for at, entry in enumerate(entries):
        _reconstruct(entry, given, folder / f"{at}.npy")
    return images, reference, where


def _reconstruct(entry: _Entry, inputs: Path, into: Path) -> None:
    if entry.worker is None:
        return
    try:
        entry.worker.ask("reconstruct", inputs=str(inputs), into=str(into))
        entry.reconstruction = np.load(into)
    except BackendError as error:
        entry.failed(error)


def _rows(entries: Sequence[_Entry], images: np.ndarray, reference: np.ndarray) -> tuple[Row, ...]:
    rows = [_row(entry, images, reference) for entry in entries]
    plain = {row.device: row.images_per_second for row in rows if row.variant == YARDSTICK}
    return tuple(
        replace(row, against_onnx=row.images_per_second / yardstick)
        if row.images_per_second and (yardstick := plain.get(row.device))
        else row
        for row in rows
    )


def _row(entry: _Entry, images: np.ndarray, reference: np.ndarray) -> Row:
    one = entry.contender
    row = Row(
        variant=one.name,
        format=one.format,
        pixels=one.pixels,
        backend=one.backend,
        device=one.device,
        precision=one.precision,
        status=one.status,
        reason=one.reason,
        bytes=one.bytes,
    )
    if not entry.rounds:
        return row
    if one.pixels == "uint8":
        # What it gives is rounded to bytes, as any image is that is written to a file: that is no loss of its own.
        reference = to_floats(to_bytes(reference))
    quality = None if entry.reconstruction is None else compare(images, reference, entry.reconstruction)
    latencies = [1e3 * seconds for each in entry.rounds for seconds in each["latencies"]]
    throughputs = [each["images_per_second"] for each in entry.rounds]
    return replace(
        row,
        load_ms=1e3 * median(each["load"] for each in entry.rounds),
        latency_ms=median(latencies),
        latency_p95_ms=float(np.percentile(latencies, 95)),
        images_per_second=median(throughputs),
        images_per_second_rounds=tuple(throughputs),
        peak_bytes=entry.rounds[0]["peak_bytes"],
        max_error=quality.max_error if quality else None,
        psnr_lost=quality.psnr_lost if quality else None,
    )
