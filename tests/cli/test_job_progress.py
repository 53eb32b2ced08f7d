from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.cli.console import Output
from aedeploy.cli.job_progress import JobProgress, bottleneck, duration
from aedeploy.jobs.engines import Note, Progress
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Of ten images."""
    (tmp_path / "in").mkdir()
    for number in range(10):
        Image.new("L", (8, 8)).save(tmp_path / "in" / f"{number}.png")
    request = JobRequest(
        job="encode", bundle=write_tiny_bundle(tmp_path / "tiny"), source=tmp_path / "in", output=tmp_path / "out"
    )
    return plan_job(request)


@pytest.fixture
def clock() -> Callable[[], float]:
    """One that goes on by a second whenever it is asked."""
    seconds: Iterator[int] = iter(range(1000))
    return lambda: float(next(seconds))


def output(quiet: bool = False) -> Output:
    return Output(json=False, quiet=quiet, verbose=False, debug=False)


def test_a_line_has_how_far_how_fast_how_long_and_what_holds_it_up(plan: Plan, clock: Callable[[], float]) -> None:
    progress = JobProgress(plan, output(), threading.Event(), clock)
    progress.show(Progress(ok=3, failed=1, seconds={"read": 0.1, "decode": 3.0, "infer": 0.9}))
    assert progress.line() == "encode: 4 so far, 1 failed, 4.0/s, decode 75 %"
    for _ in plan.cutter.shards():
        pass
    assert progress.line() == "encode: 4 of 10, 1 failed, 4.0/s, 1.5 s left, decode 75 %"


def test_a_job_that_goes_on_counts_the_names_to_say_when_it_will_end(plan: Plan) -> None:
    now = [0.0]
    with JobProgress(plan, output(quiet=True), threading.Event(), lambda: now[0]) as progress:
        for now[0] in (4.0, 6.0):
            progress.show(Progress(ok=1, failed=0))
        for thread in threading.enumerate():
            if thread.name == "counting":
                thread.join()
        assert progress.line().startswith("encode: 2 of 10, 0.3/s, 24 s left")


def test_who_was_asked_to_stop_finishes_what_was_begun(plan: Plan, clock: Callable[[], float]) -> None:
    stop = threading.Event()
    progress = JobProgress(plan, output(), stop, clock)
    progress.show(Progress(ok=1, failed=0))
    stop.set()
    assert progress.line() == "finishing what was begun: 1 so far, 1.0/s"


def test_the_rate_is_that_of_the_last_half_minute(plan: Plan) -> None:
    now = [0.0]
    progress = JobProgress(plan, output(quiet=True), threading.Event(), lambda: now[0])
    for second in range(1, 101):
        now[0] = float(second)
        progress.show(Progress(ok=1 if second <= 50 else 20, failed=0))
    assert ", 20/s" in progress.line()


def test_elsewhere_than_on_a_terminal_there_is_a_line_now_and_then(
    plan: Plan, clock: Callable[[], float], capsys: pytest.CaptureFixture[str]
) -> None:
    with JobProgress(plan, output(), threading.Event(), clock) as progress:
        for _ in range(40):
            progress.show(Progress(ok=0, failed=0))
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 10
    assert all(line.startswith("encode: 0 ") for line in lines)


def test_notes_are_passed_on_but_for_empty_ones(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    progress = JobProgress(plan, output(), threading.Event())
    progress.note(Note(text=""))
    progress.note(Note(text="Memory did not suffice [for 8]."))
    assert capsys.readouterr().err == "Memory did not suffice [for 8].\n"


def test_who_wants_quiet_has_it(plan: Plan, clock: Callable[[], float], capsys: pytest.CaptureFixture[str]) -> None:
    with JobProgress(plan, output(quiet=True), threading.Event(), clock) as progress:
        progress.note(Note(text="Memory did not suffice."))
        for _ in range(40):
            progress.show(Progress(ok=0, failed=0))
    assert capsys.readouterr().err == ""


def test_durations() -> None:
    told = [duration(seconds) for seconds in (0, 9.94, 42, 60, 200, 3600, 7500, 97200)]
    assert told == ["0.0 s", "9.9 s", "42 s", "1 min", "3 min 20 s", "1 h", "2 h 5 min", "1 d 3 h"]


def test_the_bottleneck_is_the_stage_that_takes_most() -> None:
    assert bottleneck({}) == bottleneck({"read": 0.0}) == []
    assert bottleneck({"read": 1, "infer": 3}) == ["infer 75 %"]
