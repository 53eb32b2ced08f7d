"""What ledgers say; the commands that print and use it are tested in tests/cli/test_jobs_command.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aedeploy.errors import ConfigError, NothingToDoError
from aedeploy.jobs.run import Summary
from aedeploy.jobs.status import job_status, recorded_request

RunJob = Callable[..., Summary]


def test_failures_that_are_alike_but_for_their_figures_are_one_group(
    run: RunJob, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    from PIL import Image

    folder = make_images("a.png")
    for side in (20, 30, 40, 50):
        Image.new("L", (side, side)).save(folder / f"{side}.png")
    (folder / "broken.png").write_bytes(b"no image")
    run("encode", max_pixels=100)
    large, broken = job_status(tmp_path / "out").failures
    assert (large.count, large.examples) == (4, ("20.png", "30.png", "40.png"))
    assert large.reason.startswith("it has 20×20 pixels, and no more than 100 are decoded")
    assert (broken.count, broken.examples) == (1, ("broken.png",))


def test_of_an_input_in_several_lines_the_latest_counts(
    run: RunJob, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_images("a.png", "b.png", "c.png")
    good = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(b"no image")
    (folder / "c.png").write_bytes(b"no image")
    run("encode")
    (folder / "a.png").write_bytes(good)
    run("encode")
    found = job_status(tmp_path / "out")
    assert (found.inputs, found.ok, found.failed, found.left) == (3, 2, 1, 0)
    assert [group.examples for group in found.failures] == [("c.png",)]


def test_a_file_of_latents_that_is_gone_takes_all_its_rows_with_it(
    run: RunJob, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    make_images("a.png", "b.png")
    run("encode")
    assert job_status(tmp_path / "out").bytes == (tmp_path / "out" / "part-00000.parquet").stat().st_size
    (tmp_path / "out" / "part-00000.parquet").unlink()
    found = job_status(tmp_path / "out")
    assert (found.ok, found.missing, found.left, found.bytes) == (0, 2, 2, 0)


def test_when_it_began_and_last_committed(run: RunJob, make_images: Callable[..., Path], tmp_path: Path) -> None:
    make_images("a.png")
    run("encode")
    first = job_status(tmp_path / "out")
    assert first.last_commit is not None
    assert 0 < first.began <= first.last_commit
    make_images("a.png", "b.png")
    run("encode")
    second = job_status(tmp_path / "out")
    assert second.began == first.began
    assert second.last_commit is not None
    assert second.last_commit > first.last_commit


def test_the_request_is_recorded_whole(run: RunJob, make_images: Callable[..., Path], tmp_path: Path) -> None:
    source = make_images("a.png")
    run("encode", latent_dtype="float16", batch_size=2)
    request = recorded_request(tmp_path / "out")
    assert (request.job, request.latent_dtype, request.batch_size) == ("encode", "float16", 2)
    assert (Path(request.source), request.output) == (source, tmp_path / "out")


def test_a_folder_without_a_job(tmp_path: Path) -> None:
    with pytest.raises(NothingToDoError, match="There is no job in"):
        job_status(tmp_path)
    with pytest.raises(ConfigError, match="There is no folder"):
        job_status(tmp_path / "nowhere")
