"""What a benchmark found, for a program and for a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from aedeploy.bench.contenders import BASELINE_NAME, MEASURED, Status
from aedeploy.bundle.manifest import Pixels, Role

#: What the throughput of others is held against.
YARDSTICK = "onnx"
# Below this a gain is no more than what one run differs from the next by.
_WORTH_IT = 1.05
#: Decibels: a loss below it rounds to none.
LEAST_LOSS = 0.005


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant on one device. A figure is None where it was not, or could not be, measured."""

    variant: str
    format: str | None  # None: the bundle's own weights, in PyTorch
    pixels: Pixels
    backend: str | None
    device: str
    precision: str
    status: Status
    reason: str | None = None
    bytes: int | None = None  # of the graph's files, or of the weights
    load_ms: float | None = None  # opening the graph, the engine itself being loaded; median over the rounds
    latency_ms: float | None = None  # a call with one image: median over all calls of all rounds
    latency_p95_ms: float | None = None
    images_per_second: float | None = None  # at the batch size; median over the rounds
    images_per_second_rounds: tuple[float, ...] = ()
    against_onnx: float | None = None  # its throughput, by that of onnx on the same device
    peak_bytes: int | None = None  # of a process that runs this alone, Python and the engine included
    max_error: float | None = None  # of a reconstruction, against PyTorch's, in [0, 1] units
    psnr_lost: float | None = None  # dB, of the reconstruction against the original images, beside PyTorch's

    @property
    def measured(self) -> bool:
        return self.images_per_second is not None


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """All rows, and what they were measured with."""

    bundle: str
    digest: str
    role: Role
    image_shape: tuple[int, int, int]  # channels, height, width
    batch: int
    rounds: int
    threads: int
    reference: str  # what error and PSNR are told against
    machine: dict[str, str | int | bool | None]
    versions: dict[str, str]
    rows: tuple[Row, ...]

    @property
    def verdicts(self) -> list[str]:
        """What a reader must know, in sentences."""
        return [*self._not_worth_it(), *self._failed()]

    def _not_worth_it(self) -> Iterator[str]:
        onnx = {row.device: row for row in self.rows if row.variant == YARDSTICK}
        for row in self.rows:
            ratio, plain = row.against_onnx, onnx.get(row.device)
            if row.precision == "float32" or ratio is None or plain is None or ratio >= _WORTH_IT:
                continue
            gain = ""
            if row.bytes and plain.bytes and row.bytes < plain.bytes:
                gain = f", only for its size ({row.bytes / plain.bytes:.2f} ×)"
            lost = f"; {row.psnr_lost:.2f} dB are lost" if row.psnr_lost and row.psnr_lost >= LEAST_LOSS else ""
            yield (
                f"{row.variant} on {row.device} is not worth it here for its speed ({ratio:.2f} × the throughput of "
                f"{YARDSTICK}){gain}{lost}."
            )

    def _failed(self) -> Iterator[str]:
        for row in self.rows:
            if row.status == "failed parity":
                yield f"{row.variant} on {row.device} does not compute what PyTorch computes: its speed is no use."

    @property
    def fastest(self) -> Row | None:
        """Of those that may be used, the one of the greatest throughput; None where nothing was measured."""
        sound = [row for row in self.rows if row.measured and row.status in MEASURED - {"failed parity"}]
        return max(sound, key=lambda row: row.images_per_second or 0.0, default=None)

    @property
    def baseline(self) -> Row | None:
        """PyTorch's row on the device of the fastest; None where it was not measured."""
        best = self.fastest
        rows = (row for row in self.rows if row.variant == BASELINE_NAME and row.measured)
        return next((row for row in rows if best and row.device == best.device), None)

    @property
    def headline(self) -> str:
        """What the figures come to, in one sentence."""
        best, baseline = self.fastest, self.baseline
        if best is None or not best.images_per_second:
            return "No variant that may be used could be measured"
        on = f" on {best.device}" if len({row.device for row in self.rows}) > 1 else ""
        if baseline is None or best == baseline or not baseline.images_per_second:
            return f"{best.variant}{on} is the fastest: {best.images_per_second:,.0f} images a second"
        ratio = best.images_per_second / baseline.images_per_second
        return f"{best.variant}{on} gives {ratio:.1f} × the images a second of PyTorch{' there' if on else ''}"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "headline": self.headline, "verdicts": self.verdicts}
