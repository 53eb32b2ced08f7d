"""Several processes at one output folder, as tasks of a SLURM array are: ``--shard i/n``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError, JobError
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.jobs.ledger import LedgerWriter, ledger_file, read_ledgers
from aedeploy.jobs.plan import plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import Summary, run_job
from aedeploy.jobs.status import job_status

IMAGES = 2000

# Says when a shard is committed, and goes on when it is told to: so it can be killed at a known place.
PROCESS = """
import sys
from pathlib import Path
from aedeploy.bundle import open_bundle
from aedeploy.jobs.ledger import LedgerWriter
from aedeploy.jobs.plan import plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import run_job

job, number, of, pause, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])
out = sys.argv[6]
commit, committed = LedgerWriter.add, 0

def add(self, report):
    global committed
    if committed == pause:
        print("pausing", flush=True)
        sys.stdin.readline()
    commit(self, report)
    committed += 1

LedgerWriter.add = add
plan = plan_job(
    JobRequest(
        job=job, bundle=open_bundle(folder / "tiny"), source=folder / "in", output=folder / out,
        part=(number, of), workers=1, batch_size=8,
    )
)
plan.cutter._images = 64
*_, summary = run_job(plan)
print(summary.ok, summary.skipped, summary.failed, summary.complete, flush=True)
"""

Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture
def start(bundle: Bundle, tmp_path: Path) -> Iterator[Start]:
    """Start process ``number`` of ``of``, which waits after ``pause`` shards until it reads a line."""
    folder = tmp_path / "in"
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    for number in range(IMAGES):
        path = folder / str(number // 300) / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(tmp_path / f"{number % 20}.png", path)
    broken = folder / "2" / "00700.png"
    broken.unlink()
    broken.write_bytes(b"no image")
    (folder / "2" / "notes.txt").write_text("no image")
    started: list[Process] = []

    def start(job: str, number: int, of: int, *, pause: int = -1, out: str = "out") -> Process:
        words = [sys.executable, "-c", PROCESS, job, str(number), str(of), str(pause), str(tmp_path), out]
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def summary_of(process: Process) -> tuple[int, int, int]:
    """ok, skipped, failed of a process that came to its end."""
    words, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    *counts, complete = words.split()[-4:]
    assert complete == "True"
    ok, skipped, failed = map(int, counts)
    return ok, skipped, failed


def wait_for_pause(process: Process) -> None:
    stdout: IO[str] | None = process.stdout
    assert stdout is not None
    assert stdout.readline() == "pausing\n"


def go_on(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def kill(process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def tree(folder: Path) -> dict[str, bytes]:
    """Every output, by its path."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".aedeploy" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def rows(folder: Path) -> dict[str, bytes]:
    """Every latent, by its input; each may be there once only."""
    tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    found = [(row["path"], np.float32(row["latent"]).tobytes()) for table in tables for row in table.to_pylist()]
    assert len(dict(found)) == len(found)
    return dict(found)


def whole_run(tmp_path: Path, start: Start, job: str) -> Path:
    assert summary_of(start(job, 0, 1, out="whole")) == (IMAGES - 1, 1, 1)
    return tmp_path / "whole"


@pytest.mark.parametrize("job", ["encode", "reconstruct"])
def test_side_by_side_they_write_what_one_process_writes(start: Start, tmp_path: Path, job: str) -> None:
    processes = [start(job, number, 4) for number in range(4)]
    sums = [sum(counts) for counts in zip(*map(summary_of, processes), strict=True)]
    assert sums == [IMAGES - 1, 1, 1]
    whole = whole_run(tmp_path, start, job)
    # Names too: shards are numbered as one process would.
    assert tree(tmp_path / "out") == tree(whole)
    status = job_status(tmp_path / "out")
    assert status.processes == ("0/4", "1/4", "2/4", "3/4")
    assert (status.inputs, status.ok, status.failed, status.left) == (IMAGES, IMAGES - 1, 1, 1 - 1)
    assert not status.running


def test_one_is_killed_and_started_again_while_the_others_work(start: Start, tmp_path: Path) -> None:
    job = "encode"
    killed = start(job, 1, 3, pause=2)
    others = [start(job, number, 3, pause=5) for number in (0, 2)]
    for process in (killed, *others):
        wait_for_pause(process)
    kill(killed)
    again = start(job, 1, 3)
    first = summary_of(again)
    for process in others:
        go_on(process)
    counts = [sum(counts) for counts in zip(first, *map(summary_of, others), strict=True)]
    assert counts == [IMAGES - 1 - 2 * 64, 1 + 2 * 64, 1]
    assert tree(tmp_path / "out") == tree(whole_run(tmp_path, start, job))


@pytest.mark.parametrize(("job", "of"), [("encode", 2), ("reconstruct", 1)])
def test_what_four_left_undone_another_number_of_processes_does(
    start: Start, tmp_path: Path, job: str, of: int
) -> None:
    processes = [start(job, number, 4, pause=number + 1) for number in range(4)]
    for process in processes:
        wait_for_pause(process)
        kill(process)
    done = 64 * (1 + 2 + 3 + 4)
    status = job_status(tmp_path / "out")
    assert (status.ok + status.failed, status.running) == (done, False)
    ends = [start(job, number, of) for number in range(of)]
    sums = [sum(counts) for counts in zip(*map(summary_of, ends), strict=True)]
    # The broken one is tried again, wherever it was.
    assert sums[0] + sums[1] == IMAGES
    assert sums[2] == 1
    whole = whole_run(tmp_path, start, job)
    if job == "reconstruct":
        assert tree(tmp_path / "out") == tree(whole)
    else:
        assert rows(tmp_path / "out").keys() == rows(whole).keys()
        # Of another batch, sums may round otherwise; here they do not.
        assert rows(tmp_path / "out") == rows(whole)
    record = read_ledgers(tmp_path / "out")
    assert record is not None
    vouched = {output.file for shard in record.shards for output in shard.outputs}
    assert {name for name in tree(tmp_path / "out") if name.endswith(".parquet")} == vouched
    status = job_status(tmp_path / "out")
    assert (status.inputs, status.ok, status.failed, status.left) == (IMAGES, IMAGES - 1, 1, 0)


def test_another_number_of_processes_at_once_is_refused(start: Start, bundle: Bundle, tmp_path: Path) -> None:
    working = start("encode", 0, 2, pause=1)
    wait_for_pause(working)

    def request(number: int, of: int) -> JobRequest:
        return JobRequest(
            job="encode", bundle=bundle, source=tmp_path / "in", output=tmp_path / "out", part=(number, of), workers=1
        )

    for part in ((0, 3), (0, 1)):
        with pytest.raises(JobError, match="as one of another number of processes"):
            plan_job(request(*part))
    with pytest.raises(JobError, match="Another job is writing"):
        list(run_job(plan_job(request(0, 2))))
    assert job_status(tmp_path / "out").running
    kill(working)
    # One that begins between the plan of the other and its start.
    plan = plan_job(request(0, 3))
    with (
        LedgerWriter(tmp_path / "out", (1, 2)),
        pytest.raises(JobError, match="as one of another number of processes"),
    ):
        list(run_job(plan))
    *_, summary = run_job(plan_job(request(0, 1)))
    assert isinstance(summary, Summary)
    assert summary.complete
    assert len(rows(tmp_path / "out")) == IMAGES - 1


def test_a_file_without_a_line_in_any_ledger_is_removed_by_whoever_has_its_number(start: Start, tmp_path: Path) -> None:
    # Between the file and its line in the ledger: the process is killed as it is about to write that.
    killed = start("encode", 3, 4, pause=1)
    wait_for_pause(killed)
    kill(killed)
    assert len(tree(tmp_path / "out")) >= 2
    ends = [start("encode", number, 2) for number in range(2)]
    assert sum(summary_of(process)[0] for process in ends) == IMAGES - 1 - 64
    assert len(rows(tmp_path / "out")) == IMAGES - 1
    assert not list(tmp_path.rglob(f"*{PARTIAL_SUFFIX}"))


def test_with_a_model_of_any_size_the_side_of_tiles_is_said(
    exported_bundles: dict[str, Bundle], start: Start, tmp_path: Path
) -> None:
    asked = {"job": "reconstruct", "bundle": exported_bundles["conv"], "source": tmp_path / "in"}
    with pytest.raises(ConfigError, match="--shard needs --tile"):
        plan_job(JobRequest(**asked, output=tmp_path / "out", part=(0, 2)))
    assert plan_job(JobRequest(**asked, output=tmp_path / "out", part=(0, 2), tile=256)).settings.tile == 256


def test_a_part_is_one_of_those_that_there_are(bundle: Bundle, tmp_path: Path) -> None:
    for part in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(ConfigError, match="--shard is i/n"):
            JobRequest(job="encode", bundle=bundle, source=tmp_path, output=tmp_path / "out", part=part)
    with pytest.raises(ConfigError, match="--overwrite with --shard"):
        JobRequest(job="encode", bundle=bundle, source=tmp_path, output=tmp_path / "out", part=(0, 2), overwrite=True)
    assert ledger_file((1, 2)).name == "ledger-1-of-2.jsonl"
