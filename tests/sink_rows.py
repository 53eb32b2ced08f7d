"""What the tests of sinks share: the settings of a job, and chunks of rows that are finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.jobs.chunk import Chunk, Row
from aedeploy.jobs.spec import Member, Origin, Settings, Source


def job_settings(output: Path, job: str = "reconstruct", **changes: Any) -> Settings:
    """The settings of a job that writes into the folder ``output``, which exists from now on."""
    output.mkdir(parents=True, exist_ok=True)
    return settings_of(job, str(output), **changes)


def settings_of(job: str, output: str = "out", **changes: Any) -> Settings:
    """The settings of a job that writes nothing."""
    values: dict[str, Any] = {
        "job": job,
        "origin": Origin(kind="folder", location="in"),
        "output": output,
        "bundle": "tiny",
        "bundle_digest": "d",
        "graph_sha256": "g",
        "backend": "onnxruntime",
        "model_format": "onnx",
        "pixels": "float32",
        "device": "cpu",
        "allow_failed": False,
    }
    return Settings(**values | changes)


def chunk_of(paths: Sequence[str], **arrays: np.ndarray) -> Chunk:
    """A chunk whose inputs are all fine."""
    sources = [Source(path=path, bytes=1, stamp=1, file=path) for path in paths]
    members = [Member(path=path, bytes=1, stamp=1, digest="") for path in paths]
    return Chunk(members=members, rows=[Row(source=source) for source in sources], arrays=dict(arrays))


def image_chunk(*paths: str, channels: int = 3, dtype: Any = np.uint8) -> Chunk:
    """A chunk of finished images [5, 4, channels], all different."""
    chunk = chunk_of(paths)
    for row in chunk.rows:
        seed = np.frombuffer(row.source.path.encode().ljust(4), np.uint8)
        row.image = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (5, 4, channels), dtype, endpoint=True)
    return chunk
