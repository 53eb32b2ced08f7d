"""What the tests of jobs share: tiny bundles, a folder of small images, and a job from request to summary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle
from tiny_denoiser import write_tiny_denoiser

from aedeploy.bundle import Bundle
from aedeploy.jobs.plan import plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import Summary, run_job

RunJob = Callable[..., Summary]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def grey(tmp_path: Path) -> Bundle:
    """A denoiser of grey images."""
    return write_tiny_denoiser(tmp_path / "grey")


@pytest.fixture
def colour(tmp_path: Path) -> Bundle:
    """A denoiser of images in colours."""
    return write_tiny_denoiser(tmp_path / "colour", mode="RGB")


@pytest.fixture
def run(bundle: Bundle, tmp_path: Path) -> RunJob:
    """Run a job over ``source`` (by default ``in``) into ``out``, with the tiny bundle unless another is given."""

    def run(job: str, source: str = "in", out: str = "out", **options: Any) -> Summary:
        request = JobRequest(
            job=job,  # type: ignore[arg-type]
            source=tmp_path / source,
            output=tmp_path / out,
            **{"bundle": bundle, **options},
        )
        *_, summary = run_job(plan_job(request))
        assert isinstance(summary, Summary)
        return summary

    return run


@pytest.fixture
def make_images(tmp_path: Path) -> Callable[..., Path]:
    """Write 8×8 images, each of another grey, under the names given, into ``in``."""

    def make(*names: str, folder: str = "in") -> Path:
        root = tmp_path / folder
        for number, name in enumerate(names):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), 10 + number * 7 % 240, np.uint8)).save(path)
        return root

    return make
