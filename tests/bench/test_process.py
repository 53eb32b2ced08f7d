"""A contender's process: its crash is told, and it never outlives the one that wants its figures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from aedeploy.bench.process import Worker
from aedeploy.bundle import Bundle
from aedeploy.errors import BackendError

_PATIENCE_SECONDS = 60


def task(bundle: Bundle, **changes: Any) -> dict[str, Any]:
    usual = {"backend": "onnxruntime", "format": "onnx", "pixels": "float32", "device": "cpu", "module": None}
    return {**usual, "bundle": str(bundle.path), "role": "autoencoder", "batch": 2, "threads": 1, **changes}


def gone(pid: int) -> bool:
    """Whether a process ends before our patience does."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_it_answers_and_ends(bundle: Bundle) -> None:
    with Worker(task(bundle)) as worker:
        assert worker.ask("open") == {}
        answer = worker.ask("round")
        assert set(answer) == {"load", "latencies", "images_per_second", "peak_bytes"}
        pid = worker._process.pid
    assert not psutil.pid_exists(pid)


def test_its_threads_are_those_that_it_was_told(bundle: Bundle) -> None:
    with Worker(task(bundle, threads=3)) as worker:
        worker.ask("open")
        environment = psutil.Process(worker._process.pid).environ()
    assert {environment[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}


def test_an_error_is_told_and_the_next_word_is_heard(bundle: Bundle) -> None:
    with Worker(task(bundle)) as worker:
        worker.ask("open")
        with pytest.raises(BackendError, match="No such file"):
            worker.ask("reconstruct", inputs="nonesuch.npz", into="x.npy")
        assert worker.ask("round")["latencies"]


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX")
def test_a_crash_is_told(bundle: Bundle) -> None:
    for number, message in ((signal.SIGKILL, "memory runs out"), (signal.SIGSEGV, "died of SIGSEGV")):
        with Worker(task(bundle)) as worker:
            worker.ask("open")
            os.kill(worker._process.pid, number)
            with pytest.raises(BackendError, match=message):
                worker.ask("round")


def test_a_process_that_cannot_begin_says_why(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with Worker(task(bundle)) as worker, pytest.raises(BackendError, match=r"ended with code \d+: .*Error"):
        worker.ask("open")


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX")
@pytest.mark.parametrize("busy", [False, True])
def test_it_dies_with_its_parent(bundle: Bundle, busy: bool) -> None:
    program = (
        "import json, sys, time\n"
        "from aedeploy.bench.process import Worker\n"
        "worker = Worker(json.loads(sys.argv[1]))\n"
        "worker.ask('open')\n"
        "print(worker._process.pid, flush=True)\n"
        "while sys.argv[2] == 'busy':\n    worker.ask('round')\n"
        "time.sleep(600)\n"
    )
    import json

    command = [sys.executable, "-c", program, json.dumps(task(bundle)), "busy" if busy else "idle"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    assert gone(pid)
