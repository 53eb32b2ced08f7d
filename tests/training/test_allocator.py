"""Freed memory is kept, seen from outside: by the page faults of a process that allocates the same again and again."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALLOCATE = """
import ctypes, resource
import numpy as np
{first}
def touched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(48 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
touched()
print(touched())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library is not glibc")
def test_blocks_that_were_freed_are_used_again() -> None:
    keep = "from aedeploy.training.allocator import keep_freed_memory; keep_freed_memory()"
    faults = {}
    for name, first in (("kept", keep), ("given back", "")):
        command = [sys.executable, "-c", ALLOCATE.format(first=first)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        faults[name] = int(done.stdout)
    # 48 MiB, more than glibc keeps by itself, are 12,288 pages (or 24 large ones); fifty times that without it.
    assert faults["kept"] < faults["given back"] / 10
