from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aedeploy.bundle import Bundle
from aedeploy.jobs.engines import EngineOptions, Event, Processes, Progress, local
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.spec import ShardReport

MakeImages = Callable[..., Path]


@pytest.fixture
def plan(bundle: Bundle, make_images: MakeImages, tmp_path: Path) -> Plan:
    """A job of three shards, with one broken image."""
    root = make_images(*(f"{number:03d}.png" for number in range(600)))
    (root / "300.png").write_bytes(b"no image")
    (tmp_path / "out").mkdir()
    plan = plan_job(JobRequest(job="reconstruct", bundle=bundle, source=root, output=tmp_path / "out"))
    assert plan.settings.scratch is not None
    Path(plan.settings.scratch).mkdir(parents=True)
    return plan


def run(
    plan: Plan, workers: int = 2, stop: threading.Event | None = None, processes: Processes = "never"
) -> Iterator[Event]:
    options = EngineOptions(
        settings=plan.settings, workers=workers, stop=stop or threading.Event(), processes=processes
    )
    return local.run(plan.cutter.shards(), options)


@pytest.mark.parametrize(("workers", "processes"), [(1, "never"), (3, "never"), (3, "always"), (2, "auto")])
def test_every_shard_is_reported_once_and_progress_adds_up(plan: Plan, workers: int, processes: Processes) -> None:
    events = list(run(plan, workers, processes=processes))
    reports = [event for event in events if isinstance(event, ShardReport)]
    assert sorted(report.number for report in reports) == [0, 1, 2]
    assert sum(len(report.members) for report in reports) == 600
    progress = [event for event in events if isinstance(event, Progress)]
    assert sum(event.ok for event in progress) == 599
    assert sum(event.failed for event in progress) == 1


def test_told_to_stop_before_it_begins_it_does_nothing(plan: Plan, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert list(run(plan, stop=stop)) == []
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_an_error_is_in_a_report_and_ends_the_run(plan: Plan, tmp_path: Path) -> None:
    stop = threading.Event()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        reports = [e for e in run(plan, stop=stop) if isinstance(e, ShardReport)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stop.is_set()
    assert {str(report.error) for report in reports if report.error} <= {"[Errno 27] File too large"}
    assert any(report.error for report in reports)
    assert sum(len(report.members) for report in reports) == 0
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_whoever_leaves_the_loop_leaves_no_thread_behind(plan: Plan) -> None:
    before = threading.active_count()
    events = run(plan)
    next(events)
    assert threading.active_count() > before
    events.close()
    assert threading.active_count() == before
