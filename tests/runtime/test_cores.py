"""The cores that this process may use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aedeploy.runtime import cores
from aedeploy.runtime.cores import available_cores

PROGRAM = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from aedeploy.runtime.cores import available_cores
print(available_cores())
"""


def test_at_least_one_and_no_more_than_the_host_has() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no processor affinity")
def test_affinity_is_respected() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert int(done.stdout) == 1


@pytest.mark.parametrize(("quota", "most"), [(0.1, 1), (0.5, 1), (1.0, 1), (1.5, 2), (4096.0, 4096)])
def test_a_containers_quota_is_respected_rounded_up(monkeypatch: pytest.MonkeyPatch, quota: float, most: int) -> None:
    without = available_cores()
    monkeypatch.setattr(cores, "_cgroup_quota", lambda: quota)
    assert available_cores() == max(1, min(without, most))
