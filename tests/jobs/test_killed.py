"""Jobs that are killed at any instant, that run out of disk, or whose output folder turns read-only: nothing is lost,
nothing is left half written, and what was finished is not done again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from aedeploy.bundle import Bundle
from aedeploy.jobs.known import Known
from aedeploy.jobs.ledger import OWN_FOLDER, Record, read_ledgers
from aedeploy.jobs.outputs import image_output

DRIVER = Path(__file__).with_name("driver.py")
IMAGES = {"encode": 12_000, "reconstruct": 1_500}
# Two shards of all threads, or of each of two processes; what is listed ahead of them is not begun.
MOST_IN_FLIGHT = 2 * 2
SHARD = {"encode": 4096, "reconstruct": 256}

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Many images in several folders, in no time: they are links to a few."""
    originals = []
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        originals.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(originals[-1])
    for number in range(max(IMAGES.values())):
        folder = tmp_path / "in" / f"{number // 1500:02d}"
        if number % 1500 == 0:
            folder.mkdir(parents=True)
        os.link(originals[number % 20], folder / f"{number:05d}.png")
    return tmp_path / "in"


@pytest.fixture
def start(bundle: Bundle, inputs: Path) -> Iterator[Start]:
    """Start a job; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(job: str, output: Path, processes: str = "never", **more: Any) -> subprocess.Popen[str]:
        source = inputs if job == "encode" else inputs / "00"
        options = {"job": job, "bundle": str(bundle.path), "source": str(source), "output": str(output)}
        options |= {"processes": processes, "workers": 2}
        words = [*more.pop("before", []), sys.executable, str(DRIVER), json.dumps(options | more)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    summary: dict[str, Any] = json.loads(out)
    return summary


def outputs(folder: Path) -> dict[str, bytes]:
    """Every file but the job's own, by its path."""
    found = (path for path in folder.rglob("*") if path.is_file() and OWN_FOLDER not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def times_of_done(folder: Path, record: Record | None, job: str) -> dict[Path, int]:
    """When the outputs that the ledger vouches for were written."""
    files: list[Path] = []
    for shard in record.shards if record else ():
        files += [folder / output.file for output in shard.outputs]
        if job != "encode":
            files += [folder / image_output(member.path, "short") for member in shard.members()]
    return {path: path.stat().st_mtime_ns for path in files}


def kill_and_resume(start: Start, out: Path, job: str, processes: str, after: float) -> int:
    """Kill the job after so many seconds, and resume it to its end; how many inputs it had done when it was killed."""
    process = start(job, out, processes)
    time.sleep(after)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Worker processes notice, and end.
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    record = read_ledgers(out)
    done, written = len(Known(record)), times_of_done(out, record, job)
    begun = len(outputs(out)) if job != "encode" else 0
    assert begun - done <= MOST_IN_FLIGHT * SHARD[job]
    summary = finish(start(job, out, processes))
    assert summary["skipped"] == done
    assert (summary["ok"], summary["failed"]) == (summary["inputs"] - done, 0)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    return done


def check_instants(start: Start, tmp_path: Path, job: str, processes: str, instants: int, seed: int) -> None:
    began = time.perf_counter()
    finish(start(job, tmp_path / "whole", processes))
    seconds = time.perf_counter() - began
    whole = outputs(tmp_path / "whole")
    assert whole
    random = np.random.default_rng(seed)
    for number in range(instants):
        out = tmp_path / f"out-{number}"
        kill_and_resume(start, out, job, processes, float(random.uniform(0.2 * seconds, seconds)))
        assert outputs(out) == whole
        assert {path.name for path in (out / OWN_FOLDER).iterdir()} == {"ledger.jsonl"}
        shutil.rmtree(out)


@pytest.mark.parametrize("processes", ["never", "always"])
@pytest.mark.parametrize("job", ["encode", "reconstruct"])
def test_killed_at_random_instants_it_ends_with_the_bytes_of_an_uninterrupted_run(
    start: Start, tmp_path: Path, job: str, processes: str
) -> None:
    check_instants(start, tmp_path, job, processes, instants=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("job", "processes"), [("encode", "always"), ("reconstruct", "never")])
def test_fifty_instants(start: Start, tmp_path: Path, job: str, processes: str) -> None:
    check_instants(start, tmp_path, job, processes, instants=50, seed=2)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system in memory, of the size that is asked for."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        if shutil.which("mount") is None:
            pytest.skip("a small tmpfs cannot be mounted here: there is no mount")
        path = tmp_path / f"disk-{size}"
        path.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"a small tmpfs cannot be mounted here: {done.stderr.strip()}")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("processes", ["never", "always"])
@pytest.mark.parametrize("job", ["encode", "reconstruct"])
def test_a_disk_that_fills_ends_the_job_with_a_sentence_and_loses_nothing(
    start: Start, small_disk: Callable[[str], Path], tmp_path: Path, job: str, processes: str
) -> None:
    disk = small_disk("640k" if job == "encode" else "3m")
    out = disk / "out"
    process = start(job, out, processes)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "No space left on device. What was finished is kept" in error
    assert "Traceback" not in error
    record = read_ledgers(out)
    done = len(Known(record))
    finish(start(job, tmp_path / "whole"))
    whole = outputs(tmp_path / "whole")
    # What is there is whole.
    kept = outputs(out)
    assert all(whole[name] == content for name, content in kept.items())
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    summary = finish(start(job, out, processes))
    assert summary["skipped"] == done
    assert outputs(out) == whole


def test_an_output_folder_that_turns_read_only_ends_the_job_with_a_sentence_and_loses_nothing(
    start: Start, tmp_path: Path
) -> None:
    before: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write to any folder, and there is no setpriv here to have it otherwise")
        before = ["setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override"]
    out = tmp_path / "out"
    process = start("reconstruct", out, before=before)
    deadline = time.monotonic() + 60
    while not list(out.glob("*.png")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    scratch = out / OWN_FOLDER / "partial-0-of-1"
    out.chmod(0o555)
    scratch.chmod(0o555)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 1, error
    assert "Permission denied. What was finished is kept" in error
    record = read_ledgers(out)
    done, written = len(Known(record)), times_of_done(out, record, "reconstruct")
    out.chmod(0o755)
    if scratch.exists():
        scratch.chmod(0o755)
    summary = finish(start("reconstruct", out))
    assert (summary["skipped"], summary["ok"]) == (done, IMAGES["reconstruct"] - done)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    finish(start("reconstruct", tmp_path / "whole"))
    assert outputs(out) == outputs(tmp_path / "whole")
