"""Jobs on a Ray cluster of this machine: two nodes, each of them real processes, of which one is killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from noisy_images import noisy, write
from PIL import Image
from tiny_denoiser import write_tiny_denoiser

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError, JobError, MissingDependencyError
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.jobs.engines import Note, Progress
from aedeploy.jobs.engines._actor import Worker, need
from aedeploy.jobs.ledger import read_ledgers
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import Summary, run_job

pytest.importorskip("ray", reason="ray is not installed")

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}

Ask = Callable[..., JobRequest]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One node; a test adds more. Each job connects to it, and disconnects."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def ask(bundle: Bundle, tmp_path: Path) -> Ask:
    """A request over a folder of 3,000 images, of which one is broken, in several folders."""
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    for number in range(3000):
        folder = tmp_path / "in" / str(number // 500)
        folder.mkdir(parents=True, exist_ok=True)
        os.link(tmp_path / f"{number % 20}.png", folder / f"{number:05d}.png")
    broken = tmp_path / "in" / "3" / "01700.png"
    broken.unlink()
    broken.write_bytes(b"no image")

    def ask(job: str, out: str, **options: Any) -> JobRequest:
        defaults = {"batch_size": 16, "bundle": bundle, "source": tmp_path / "in"}
        return JobRequest(job=job, output=tmp_path / out, **{**defaults, **options})  # type: ignore[arg-type]

    return ask


def in_small_shards(request: JobRequest) -> Plan:
    """A plan of as many shards as a large job has."""
    plan = plan_job(request)
    plan.cutter._images = 100
    return plan


def summary_of(plan: Plan) -> Summary:
    *_, summary = run_job(plan)
    assert isinstance(summary, Summary)
    return summary


def tree(folder: Path) -> dict[str, bytes]:
    """Every output, by its path."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".aedeploy" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def workers_of(parent: psutil.Process, doing: str) -> list[psutil.Process]:
    """The actors below a process, by what their titles say."""
    found = []
    for process in parent.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [process] if process.cmdline()[:1] == [doing] else []
    return found


def held_at_work(parent: psutil.Process) -> bool:
    """Whether an actor is in the middle of a shard; if so, it stays there."""
    held = workers_of(parent, "ray::Worker.run")
    for process in held:
        process.suspend()
    if workers_of(parent, "ray::Worker.run"):
        return True
    for process in held:
        process.resume()
    return False


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(f"*{PARTIAL_SUFFIX}")]


@pytest.mark.parametrize("job", ["encode", "reconstruct"])
def test_a_node_is_killed_and_the_job_ends_with_the_bytes_of_a_local_run(
    cluster: Any, ask: Ask, tmp_path: Path, capfd: pytest.CaptureFixture[str], job: str
) -> None:
    node = cluster.add_node(**NODE)
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    events, killed = [], False
    for event in run_job(in_small_shards(ask(job, "ray", engine="ray", address=cluster.address))):
        events.append(event)
        if len(events) == 1:
            wait_until(lambda: workers_of(raylet, "ray::Worker"))
        if not killed and held_at_work(raylet):
            killed = True
            cluster.remove_node(node, allow_graceful=False)
    assert killed
    assert capfd.readouterr() == ("", "")
    assert [event.text for event in events if isinstance(event, Note) and "its shard is given to another" in event.text]
    summary = events[-1]
    assert isinstance(summary, Summary)
    assert (summary.ok, summary.failed, summary.complete) == (2999, 1, True)
    assert summary.failures[0].path == "3/01700.png"
    local = summary_of(in_small_shards(ask(job, "local")))
    assert local.failures == summary.failures
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")
    assert leftovers(tmp_path / "ray") == []


def test_a_job_with_two_models_has_both_on_every_node(
    cluster: Any, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # bundles by relative paths, which another process has to find too
    colour, grey = (write_tiny_denoiser(Path(mode), mode=mode) for mode in ("RGB", "L"))
    for number in range(6):
        write(tmp_path / f"photos/{number}.png", noisy(20, 30, 3 if number % 2 else 1))
    options = {"bundle": colour, "grey_bundle": grey, "source": tmp_path / "photos", "tile": 64}
    for out, engine in (("ray", {"engine": "ray", "address": cluster.address}), ("local", {})):
        assert summary_of(plan_job(ask("denoise", out, **options, **engine))).ok == 6
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")
    asked = need(plan_job(ask("denoise", "other", **options)).settings, tmp_path)
    assert {"RGB", "L"} <= set(asked.places)


def test_told_to_stop_it_commits_what_was_begun_and_any_engine_goes_on(cluster: Any, ask: Ask, tmp_path: Path) -> None:
    stop = threading.Event()
    done, told = 0, signal.getsignal(signal.SIGTERM)
    for event in run_job(in_small_shards(ask("encode", "out", engine="ray", address=cluster.address)), stop):
        if isinstance(event, Progress):
            done += event.ok + event.failed
            assert signal.getsignal(signal.SIGTERM) is told
            stop.set()
    assert isinstance(event, Summary)
    assert 0 < done < 3000
    assert (event.ok + event.failed, event.complete) == (done, False)
    resumed = summary_of(plan_job(ask("encode", "out")))
    assert (resumed.skipped, resumed.complete) == (event.ok, True)
    record = read_ledgers(tmp_path / "out")
    assert record is not None
    assert leftovers(tmp_path / "out") == []


def test_a_shard_that_kills_every_worker_ends_the_job(cluster: Any, ask: Ask, tmp_path: Path) -> None:
    done = threading.Event()

    def kill() -> None:
        while not done.wait(0.02):
            for process in workers_of(psutil.Process(), "ray::Worker.run"):
                process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    notes = []
    try:
        with pytest.raises(JobError, match=r"lost its worker 4 times .* What was finished is kept"):
            notes += run_job(in_small_shards(ask("reconstruct", "out", engine="ray", address=cluster.address)))
    finally:
        done.set()
        killer.join()
    assert sum(isinstance(note, Note) and "its shard is given to another" in note.text for note in notes) >= 3
    resumed = summary_of(plan_job(ask("reconstruct", "out")))
    assert resumed.complete
    assert len(tree(tmp_path / "out")) == 2999


PROGRAM = """
import sys
from pathlib import Path
from aedeploy.bundle import open_bundle
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import run_job

bundle, source, out = map(Path, sys.argv[1:])
request = JobRequest(job="encode", bundle=open_bundle(bundle), source=source, output=out, engine="ray", workers=1)
for _ in range(2):
    *_, summary = run_job(plan_job(request))
    print(summary.ok, summary.skipped, summary.failed, summary.complete, "ray" in sys.modules)
"""


def test_without_an_address_it_starts_a_quiet_ray_of_its_own(
    ask: Ask, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Relative paths, which mean something else where the workers are.
    words = [sys.executable, "-c", PROGRAM, "tiny", "in", "out"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["2999 0 1 True True", "0 2999 1 True True"]
    summary_of(plan_job(ask("encode", "local", batch_size=None)))
    assert tree(tmp_path / "out") == tree(tmp_path / "local")


def test_the_job_itself_is_killed_and_resumed(
    cluster: Any, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    program = PROGRAM.replace('job="encode"', 'job="reconstruct"')
    job = subprocess.Popen([sys.executable, "-c", program, "tiny", "in", "out"], cwd=tmp_path)
    try:
        wait_until(lambda: len(list((tmp_path / "out").glob("*/*.png"))) > 300)
    finally:
        job.kill()
        job.wait()
    resumed = summary_of(plan_job(ask("reconstruct", "out", engine="ray")))
    assert resumed.complete
    local = summary_of(plan_job(ask("reconstruct", "local")))
    assert resumed.ok + resumed.skipped == local.ok
    assert tree(tmp_path / "out") == tree(tmp_path / "local")
    assert leftovers(tmp_path / "out") == []


def test_without_ray_it_says_how_to_install_it(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    plan = plan_job(ask("encode", "out", engine="ray"))
    with pytest.raises(MissingDependencyError, match=r"pip install 'aedeploy\[ray\]'"):
        summary_of(plan)


def test_a_node_that_cannot_do_the_work_says_why(ask: Ask, tmp_path: Path) -> None:
    settings = plan_job(ask("encode", "out")).settings
    token = tmp_path / "token"
    token.touch()
    fine = need(settings, token)
    assert isinstance(Worker().open(settings, fine), str)
    missing = Worker().open(settings, replace(fine, places=("/nowhere/in",)))
    assert isinstance(missing, JobError)
    assert "does not see /nowhere/in: bundle, inputs and --out must be on storage" in str(missing)
    older = Worker().open(settings, replace(fine, versions={"pillow": "1.0"}))
    assert isinstance(older, JobError)
    assert "and not 1.0 as here: outputs would differ" in str(older)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:10001"])
def test_an_address_where_no_cluster_is_is_refused(ask: Ask, tmp_path: Path, address: str) -> None:
    plan = plan_job(ask("encode", "out", engine="ray", address=address))
    with pytest.raises(ConfigError, match=re.escape(address)):
        summary_of(plan)
    assert leftovers(tmp_path / "out") == []
