from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from aedeploy.bundle import Bundle
from aedeploy.errors import AedeployError, JobError, UnknownNameError
from aedeploy.jobs.engines import Event, Progress
from aedeploy.jobs.engines.child import Child, portable
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.spec import ShardReport

MakeImages = Callable[..., Path]


@pytest.fixture
def plan(bundle: Bundle, make_images: MakeImages, tmp_path: Path) -> Plan:
    root = make_images(*(f"{number:03d}.png" for number in range(300)))
    (root / "007.png").write_bytes(b"no image")
    (tmp_path / "out").mkdir()
    plan = plan_job(JobRequest(job="encode", bundle=bundle, source=root, output=tmp_path / "out", batch_size=16))
    plan.settings = replace(plan.settings, scratch=None)
    return plan


def test_it_does_a_shard_and_tells_of_every_chunk(plan: Plan, tmp_path: Path) -> None:
    told: list[Event] = []
    child = Child(plan.settings, threading.Event(), told.append)
    try:
        child.open()
        (spec,) = plan.cutter.shards()
        child.run(replace(spec, settings=plan.settings))
    finally:
        child.close()
    *progress, report = told
    assert isinstance(report, ShardReport)
    assert (report.error, len(report.members), [failure.path for failure in report.failures]) == (
        None,
        300,
        ["007.png"],
    )
    assert sum(event.ok for event in progress if isinstance(event, Progress)) == 299
    assert (tmp_path / "out/part-00000.parquet").is_file()
    assert child._process.returncode == 0


def test_told_to_stop_it_commits_what_is_finished(plan: Plan) -> None:
    stop, told = threading.Event(), list[Event]()

    def tell(event: Event) -> None:
        told.append(event)
        stop.set()

    child = Child(plan.settings, stop, tell)
    try:
        child.open()
        (spec,) = plan.cutter.shards()
        child.run(replace(spec, settings=plan.settings, batch_size=1))
    finally:
        child.close()
    report = told[-1]
    assert isinstance(report, ShardReport)
    assert report.error is None
    assert len(report.outputs) == 1


def test_a_bundle_that_is_gone_is_the_same_error_as_without_processes(plan: Plan, tmp_path: Path) -> None:
    child = Child(replace(plan.settings, bundle=str(tmp_path / "gone")), threading.Event(), lambda event: None)
    try:
        with pytest.raises(AedeployError, match="gone"):
            child.open()
    finally:
        child.close()


def test_a_process_that_is_killed_is_one_sentence(plan: Plan) -> None:
    child = Child(plan.settings, threading.Event(), lambda event: None)
    try:
        child.open()
        psutil.Process(child._process.pid).kill()
        (spec,) = plan.cutter.shards()
        with pytest.raises(JobError, match=r"ended by signal 9 \(memory ran out, or somebody ended it\)\."):
            child.run(spec)
    finally:
        child.close()


def test_errors_that_do_not_travel_say_the_same() -> None:
    assert str(portable(UnknownNameError("format", "onx", ["onnx"]))).startswith("There is no format 'onx'")
    assert isinstance(portable(OSError(28, "No space left on device")), OSError)
    assert str(portable(KeyError("x"))) == "'x'"
