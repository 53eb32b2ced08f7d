"""Scores: how far each image's reconstruction is from it, one Parquet file a shard, and heat maps where asked for.

    path      string
    mse       float32, mean squared error of pixel values in [0, 1]
    ssim      float32
    anomaly   bool: mse > threshold; there where a threshold is

The schema's metadata has under ``aedeploy``, as JSON, what :class:`ScoresContract` says; every page has a checksum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aedeploy.files import write_bytes
from aedeploy.jobs.chunk import Chunk, joined
from aedeploy.jobs.latents.contract import KEY
from aedeploy.jobs.outputs import scratch_of
from aedeploy.jobs.sinks import Sink
from aedeploy.jobs.spec import Output, Settings

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ScoresContract:
    """How the scores of a file were made."""

    bundle: str
    bundle_digest: str
    graph_format: str | None  # of the autoencoder that ran; None: the weights themselves
    reading: Mapping[str, str]  # how the images became pixels: ``decode`` and ``resize``
    measured: Literal["model", "original"]  # at which size: the model's, or each image's own
    threshold: float | None  # of ``mse``
    quantile: float | None  # of calibration images, that the threshold is
    kind: Literal["scores"] = "scores"
    version: int = VERSION


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the scores in a folder come to."""

    threshold: float
    images: int
    anomalies: int  # of the images, those above the threshold

    @property
    def told(self) -> str:
        """It in a sentence."""
        return f"Of the {self.images:,} images with scores, {self.anomalies:,} are above the threshold."


class ScoresSink:
    """See jobs/sinks/__init__.py. ``heatmaps`` is where every row's ``image`` goes, if it has one."""

    def __init__(self, settings: Settings, contract: ScoresContract, heatmaps: Sink | None) -> None:
        self._settings = settings
        self._contract = contract
        self._heatmaps = heatmaps

    def files(self, number: int) -> tuple[str, ...]:
        return (*(self._heatmaps.files(number) if self._heatmaps else ()), scores_file(number))

    def write(self, chunk: Chunk) -> None:
        if self._heatmaps:
            self._heatmaps.write(chunk)

    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]:
        outputs = self._heatmaps.commit(number, chunks) if self._heatmaps else ()
        paths, errors = joined(chunks)
        if not paths:
            return ()
        path = Path(self._settings.output, scores_file(number))
        content = _parquet(self._contract, paths, errors)
        write_bytes(path, content, scratch=scratch_of(self._settings))
        return (*outputs, Output(file=path.name, bytes=len(content)))


def verdict(output: Path) -> Verdict | None:
    """Count the anomalies in all scores of a folder; None where none has a threshold."""
    import pyarrow.parquet as pq

    threshold, images, anomalies = None, 0, 0
    for path in sorted(output.glob("scores-*.parquet")):
        with pq.ParquetFile(path) as file:
            contract = json.loads((file.schema_arrow.metadata or {}).get(KEY.encode(), b"{}"))
            if contract.get("kind") != "scores" or contract.get("threshold") is None:
                continue
            threshold = contract["threshold"]
            images += file.metadata.num_rows
            anomalies += int(np.count_nonzero(file.read(columns=["anomaly"])["anomaly"].to_numpy()))
    return None if threshold is None else Verdict(threshold=threshold, images=images, anomalies=anomalies)


def scores_file(number: int) -> str:
    """The scores of a shard."""
    return f"scores-{number:05d}.parquet"


def _parquet(contract: ScoresContract, paths: Sequence[str], errors: Mapping[str, np.ndarray]) -> memoryview:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"path": pa.array(paths, pa.string()), "mse": errors["mse"], "ssim": errors["ssim"]}
    if contract.threshold is not None:
        # By the numbers that the file has, so that whoever compares them again finds the same.
        columns["anomaly"] = errors["mse"] > np.float32(contract.threshold)
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(asdict(contract))})
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream, compression="zstd", use_dictionary=False, write_page_checksum=True)
    return memoryview(stream.getvalue())
