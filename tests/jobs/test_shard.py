from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from aedeploy.bundle import Bundle
from aedeploy.errors import BackendError, JobError
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.plan import plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.shard import Crew, open_work, run_shard
from aedeploy.jobs.spec import Origin, ShardReport, ShardSpec, Source, StageSeconds

MakeImages = Callable[..., Path]


@pytest.fixture
def spec(bundle: Bundle, make_images: MakeImages, tmp_path: Path) -> ShardSpec:
    """A shard of 40 images in chunks of 4; the second and the last image are broken."""
    root = make_images(*(f"{number:02d}.png" for number in range(40)))
    for broken in ("01.png", "39.png"):
        (root / broken).write_bytes(b"no image")
    request = JobRequest(job="encode", bundle=bundle, source=root, output=tmp_path / "out", batch_size=4)
    (tmp_path / "out").mkdir()
    (shard,) = plan_job(request).cutter.shards()
    return replace(shard, settings=replace(shard.settings, scratch=None))


def crew(executor: ThreadPoolExecutor, seen: Callable[[Chunk], None] = lambda chunk: None) -> Crew:
    return Crew(executor=executor, gate=ReadingGate(2), seen=lambda chunk, seconds: seen(chunk))


def outcome(report: ShardReport) -> ShardReport:
    """The report, less what it took."""
    return replace(report, seconds={})


def test_specs_and_reports_travel(spec: ShardSpec) -> None:
    assert pickle.loads(pickle.dumps(spec)) == spec
    report = run_shard(pickle.loads(pickle.dumps(spec)))
    assert pickle.loads(pickle.dumps(report)) == report
    assert [member.path for member in report.members] == [source.path for source in spec.sources]
    assert set(report.seconds) == {"read", "decode", "infer", "write"}
    assert [failure.path for failure in report.failures] == ["01.png", "39.png"]


def test_the_bytes_are_the_same_whoever_runs_it_and_however_often(spec: ShardSpec, tmp_path: Path) -> None:
    report = run_shard(spec)
    part = (tmp_path / "out/part-00000.parquet").read_bytes()
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            assert outcome(run_shard(spec, crew(threads))) == outcome(report)
            assert (tmp_path / "out/part-00000.parquet").read_bytes() == part


def test_told_to_stop_it_reports_what_was_finished(spec: ShardSpec, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as thread:
        seen: list[Chunk] = []

        def stop_after_three(chunk: Chunk) -> None:
            seen.append(chunk)
            if len(seen) == 3:
                team.stop.set()

        team = crew(thread, stop_after_three)
        report = run_shard(spec, team)
    assert [member.path for member in report.members] == [source.path for source in spec.sources[:12]]
    assert report.error is None
    (output,) = report.outputs
    assert (tmp_path / "out" / output.file).stat().st_size == output.bytes


def test_an_output_that_cannot_be_written_is_the_reports_error(spec: ShardSpec, tmp_path: Path) -> None:
    (tmp_path / "out").rmdir()
    report = run_shard(spec)
    assert isinstance(report.error, FileNotFoundError)
    assert report.members == ()


def test_a_graph_that_fails_is_the_reports_error_and_what_was_finished_is_kept(spec: ShardSpec, tmp_path: Path) -> None:
    # A file of another job's rows: decode cannot make anything of the second chunk.
    broken = spec.sources[8]._replace(file="gone.parquet", path="x.png")
    decoding = replace(
        spec,
        settings=replace(
            spec.settings,
            job="decode",
            origin=Origin(kind="latents", location=str(tmp_path / "latents")),
            output=str(_made(tmp_path / "images")),
            scratch=None,
        ),
    )
    run_shard(replace(spec, settings=replace(spec.settings, output=str(_made(tmp_path / "latents")), scratch=None)))
    rows = tuple(
        source._replace(file="part-00000.parquet", row=row)
        for row, source in enumerate(source for source in spec.sources if source.path not in ("01.png", "39.png"))
    )
    report = run_shard(replace(decoding, sources=(*rows[:4], broken._replace(row=4))))
    assert [member.path for member in report.members] == [row.path for row in rows[:4]]
    assert "gone.parquet" in str(report.error)
    assert (tmp_path / "images/00.png").is_file()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_where_memory_runs_out_the_batch_is_halved_and_told(spec: ShardSpec, tmp_path: Path) -> None:
    whole = run_shard(spec)
    part = (tmp_path / "out/part-00000.parquet").read_bytes()
    work = open_work(spec.settings)
    tried: list[int] = []

    class Small:
        """Memory for three images."""

        sink = work.sink
        shard_images = work.shard_images

        def chunk(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
            tried.append(len(sources))
            if len(sources) > 3:
                raise BackendError("onnxruntime failed: Failed to allocate memory for requested buffer of size 9")
            return work.chunk(sources, gate, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aedeploy.jobs.shard.open_work", lambda settings: Small())
        report = run_shard(spec)
    assert tried == [4, *[2] * 20]
    assert outcome(replace(report, notes=())) == outcome(whole)
    assert "it goes on with 2; --batch-size 2" in report.notes[0]
    assert (tmp_path / "out/part-00000.parquet").read_bytes() == part


def test_where_it_does_not_suffice_for_one_image_the_job_ends_with_a_sentence(spec: ShardSpec) -> None:
    work = open_work(spec.settings)

    class Nothing:
        sink = work.sink
        shard_images = work.shard_images

        def chunk(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
            raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aedeploy.jobs.shard.open_work", lambda settings: Nothing())
        report = run_shard(spec)
    assert isinstance(report.error, JobError)
    assert "not enough memory for one image (00.png)" in str(report.error)
    assert report.members == ()
