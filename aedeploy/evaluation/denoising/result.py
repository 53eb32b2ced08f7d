"""What was measured of denoising: a row for each image, σ and method, and their means."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Any

from aedeploy.evaluation.denoising.estimate import AutoFigures
from aedeploy.evaluation.denoising.methods import Setup, Told
from aedeploy.evaluation.images import Failure
from aedeploy.files import write_json, write_text

#: What :meth:`DenoisingEvaluation.save` writes.
CSV_FILE, JSON_FILE = "denoising.csv", "denoising.json"

#: The method that does nothing: what the noisy image itself comes to.
NOISY = "noisy"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One image at one σ by one method. ``psnr`` in dB, None where there is no error; ``seconds`` of the call alone,
    None where nothing was called; ``megapixels``, millions of pixels of the image.
    """

    image: str
    sigma: float
    method: str
    psnr: float | None
    ssim: float
    seconds: float | None
    megapixels: float


@dataclass(frozen=True, kw_only=True)
class MethodFigures:
    """One method at one σ: means of the images' own ``psnr`` and ``ssim``; ``seconds`` by image;
    ``megapixels_per_second``, all pixels by all seconds.
    """

    sigma: float
    method: str
    psnr: float | None
    ssim: float
    seconds: float | None
    megapixels_per_second: float | None


@dataclass(frozen=True, kw_only=True)
class DenoisingEvaluation:
    """A denoiser beside others, on the images of a folder. ``methods`` are in the order in which they were measured,
    the bundle first; ``auto`` is None of a model that is not told how much noise there is.
    """

    bundle: str
    backend: str
    format: str | None
    device: str
    threads: int
    seed: int
    told: Told | None
    data: str
    mode: str
    images: int
    megapixels: float
    methods: Mapping[str, Setup]
    rows: tuple[Row, ...]
    auto: AutoFigures | None
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def results(self) -> tuple[MethodFigures, ...]:
        """By σ, then by method, what does nothing first."""
        return summarised(self.rows)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """At each σ, how the bundle compares with each of the others, in words."""
        return tuple(
            verdict for verdict in map(self._verdict, dict.fromkeys(row.sigma for row in self.rows)) if verdict
        )

    def _verdict(self, sigma: float) -> str | None:
        psnr = {at.method: at.psnr for at in self.results if at.sigma == sigma and at.method != NOISY}
        ours = psnr.pop(next(iter(self.methods)))
        beside = [
            f"{ours - other:+.2f} dB against {name}"
            for name, other in psnr.items()
            if ours is not None and other is not None
        ]
        if ours is None:
            return None
        return f"σ = {sigma:g}: {', '.join([f'{ours:.2f} dB', *beside])}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; docs/evaluation.md says what each key is."""
        found = asdict(self)
        rows = found.pop("rows")
        return {**found, "results": [asdict(at) for at in self.results], "verdicts": list(self.verdicts), "rows": rows}

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write the rows as CSV, and all of it as JSON; each file appears whole.

        Raises:
            OSError: they cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        table, whole = folder / CSV_FILE, folder / JSON_FILE
        write_text(table, as_csv(self.rows))
        write_json(whole, self.as_dict())
        return table, whole


def summarised(rows: Iterable[Row]) -> tuple[MethodFigures, ...]:
    """The means of rows, for each σ and method in the order in which they come."""
    groups: dict[tuple[float, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.sigma, row.method), []).append(row)
    order = list(dict.fromkeys(sigma for sigma, _ in groups))
    return tuple(_means(*at, groups[at]) for at in sorted(groups, key=lambda at: order.index(at[0])))


def _means(sigma: float, method: str, rows: list[Row]) -> MethodFigures:
    psnr = fmean(inf if row.psnr is None else row.psnr for row in rows)
    seconds = [row.seconds for row in rows if row.seconds is not None]
    timed = len(seconds) == len(rows) and sum(seconds) > 0.0
    return MethodFigures(
        sigma=sigma,
        method=method,
        psnr=None if psnr == inf else psnr,
        ssim=fmean(row.ssim for row in rows),
        seconds=fmean(seconds) if timed else None,
        megapixels_per_second=sum(row.megapixels for row in rows) / sum(seconds) if timed else None,
    )


def as_csv(rows: Iterable[Row]) -> str:
    """Rows under a header; what is None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Row)]
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in rows)
    return text.getvalue()
