from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aedeploy.bundle import Bundle
from aedeploy.jobs.dry_run import DryRun, dry_run
from aedeploy.jobs.request import JobRequest

Ask = Callable[..., DryRun]


@pytest.fixture
def ask(bundle: Bundle, tmp_path: Path) -> Ask:
    def ask(job: str = "encode", source: str = "in", **options: Any) -> DryRun:
        request = JobRequest(
            job=job,  # type: ignore[arg-type]
            bundle=bundle,
            source=tmp_path / source,
            output=tmp_path / "out",
            **options,
        )
        return dry_run(request)

    return ask


def test_the_sample_is_of_all_over_the_inputs_and_no_larger_than_it_must(ask: Ask, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(1000):
        Image.new("L", (8, 8), number % 256).save(folder / f"{number:04d}.png")
    for number in range(500, 1000):  # half of the sample fails, wherever the half is
        (folder / f"{number:04d}.png").write_bytes(b"no image")
    found = ask("reconstruct")
    assert found.to_do == 1000
    assert 64 <= found.sample.images < 64 + 16
    assert 16 <= len(found.sample.failures) <= 48
    assert found.estimated_seconds == pytest.approx(
        1000 * found.sample.seconds_per_image / (found.workers or 1), abs=0.1
    )


def test_the_outputs_are_estimated_from_those_of_the_sample(ask: Ask, run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(200):
        Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8)).save(folder / f"{number}.png")
    found = ask("reconstruct", size="model")
    run("reconstruct", size="model")
    written = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.png"))
    assert found.estimated_output_bytes == pytest.approx(written, rel=0.05)


def test_of_several_processes_each_plans_its_own_part(ask: Ask, make_images: Callable[..., Path]) -> None:
    make_images(*(f"{number}.png" for number in range(600)))
    parts = [ask("reconstruct", part=(number, 2)) for number in range(2)]
    assert sum(part.to_do for part in parts) == 600
    assert all(part.to_do == other.elsewhere for part, other in zip(parts, reversed(parts), strict=True))


def test_nothing_to_do_is_no_error(ask: Ask, run: Any, make_images: Callable[..., Path]) -> None:
    make_images("a.png")
    run("encode")
    found = ask()
    assert (found.to_do, found.done, found.sample.images, found.estimated_seconds) == (0, 1, 0, 0)


def test_scores_are_measured_without_a_file(ask: Ask, make_images: Callable[..., Path], tmp_path: Path) -> None:
    make_images("a.png", "b.png")
    before = sorted(tmp_path.rglob("*"))
    assert ask("reconstruct", score=True, heatmaps=True).sample.images == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_can_be_sampled(ask: Ask, make_images: Callable[..., Path], tmp_path: Path) -> None:
    import shutil

    shutil.make_archive(str(tmp_path / "in"), "tar", make_images(*(f"{number}.png" for number in range(100))))
    found = ask(source="in.tar")
    assert (found.to_do, found.sample.failures) == (100, ())
    assert found.sample.images >= 64
