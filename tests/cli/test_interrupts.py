"""Ctrl-C before a command has begun: the sentence, the exit code, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

#: Python runs it at its start: when the module in question is looked for, the process gets a SIGINT.
HOOK = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            for _ in range({times}):
                os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""


def interrupted_at(folder: Path, name: str, *words: str, times: int = 1) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(HOOK.format(name=name, times=times))
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "aedeploy", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["typer", "rich", "aedeploy.cli.train", "torch", "numpy", "aedeploy.training.run"])
def test_within_an_import_it_waits_and_ends_with_the_sentence(tmp_path: Path, name: str) -> None:
    done = interrupted_at(tmp_path, name, "train", "--data=digits", "--out=made", "--epochs=1")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Error: Interrupted.\n")
    assert not (tmp_path / "made").exists()


def test_a_second_one_does_not_wait(tmp_path: Path) -> None:
    done = interrupted_at(tmp_path, "aedeploy.cli.train", "train", "--data=digits", "--epochs=1", times=2)
    assert (done.returncode, done.stderr) == (130, "Error: Interrupted.\n")


OTHERS = """
import os, signal, threading
from aedeploy.cli.interrupts import interrupts_wait

came = []
signal.signal(signal.SIGINT, lambda *_: came.append(True))
with interrupts_wait():
    os.kill(os.getpid(), signal.SIGINT)
    assert came == [True]
signal.signal(signal.SIGINT, signal.SIG_IGN)
with interrupts_wait():
    os.kill(os.getpid(), signal.SIGINT)
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN

signal.signal(signal.SIGINT, signal.default_int_handler)
seen = []

def run():
    with interrupts_wait():
        seen.append(signal.getsignal(signal.SIGINT))

thread = threading.Thread(target=run)
thread.start()
thread.join()
assert seen == [signal.default_int_handler]
print("all of it")
"""


def test_what_others_do_with_the_signal_stays_and_other_threads_change_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", OTHERS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "all of it\n", "")
