"""The command line, with a fault in it: at the n-th chunk, so that no test depends on a timing."""

from __future__ import annotations

import subprocess
import sys

# What is done to the process when it begins its n-th chunk. A denoiser's chunks are those of reconstruct.
_FAULTY = """
import os, resource, signal, sys, threading, time
from aedeploy.cli.app import main
from aedeploy.jobs import encode, reconstruct

fault, at = sys.argv[1], int(sys.argv[2])
sys.argv = ["aedeploy", *sys.argv[3:]]
begun, lock = 0, threading.Lock()

def breaking(chunk):
    def broken(self, sources, gate, seconds):
        global begun
        with lock:
            begun += 1
            now = begun == at
        if now and fault == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
        elif now:
            before = signal.getsignal(signal.SIGINT)
            os.kill(os.getpid(), getattr(signal, fault))
            # The main thread has been told when its handler is gone again.
            while signal.getsignal(signal.SIGINT) is before:
                time.sleep(0.001)
        return chunk(self, sources, gate, seconds)
    return broken

for job in (encode, reconstruct):
    job.Work.chunk = breaking(job.Work.chunk)
main()
"""


def command(fault: str, at: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``aedeploy`` with these words. ``fault``: the name of a signal, or ``full``, a full disk; or ``none``."""
    return subprocess.run(
        [sys.executable, "-c", _FAULTY, fault, str(at), *words], capture_output=True, text=True, timeout=300
    )
