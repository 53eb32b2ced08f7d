from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aedeploy.bundle import Bundle
from aedeploy.errors import JobError
from aedeploy.jobs.engines import lasting
from aedeploy.jobs.run import Summary

# What a worker process imports when it starts: reading such a file ends it as a broken decoder does.
CRASHES = """
import os, resource, signal
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
real = os.open
def opened(path, *rest, **more):
    if str(path).endswith("crash.png"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return real(path, *rest, **more)
os.open = opened
"""


@pytest.fixture
def names(make_images: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names = [f"{number:03d}.png" for number in range(60)] + ["010-crash.png", "050-crash.png"]
    make_images(*names)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(CRASHES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return names


def test_images_that_crash_a_process_are_failures_and_all_others_as_if_they_were_merely_broken(
    run: Callable[..., Summary], names: list[str], tmp_path: Path
) -> None:
    options = {"processes": "always", "workers": 1, "batch_size": 8}
    summary = run("encode", **options)
    assert (summary.ok, summary.failed, summary.complete) == (60, 2, True)
    assert [(failure.path, failure.reason) for failure in summary.failures] == [
        ("010-crash.png", "whatever reads it crashes (signal 11)"),
        ("050-crash.png", "whatever reads it crashes (signal 11)"),
    ]
    for name in ("010", "050"):
        (tmp_path / f"in/{name}-crash.png").write_bytes(b"no image")
        (tmp_path / f"in/{name}-crash.png").rename(tmp_path / f"in/{name}-crush.png")
    assert run("encode", out="broken", **options).failed == 2
    part = "part-00000.parquet"
    assert (tmp_path / "out" / part).read_bytes() == (tmp_path / "broken" / part).read_bytes()


def test_what_crashes_again_and_again_ends_the_job_with_a_sentence(
    run: Callable[..., Summary], names: list[str], monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    monkeypatch.setattr(lasting, "_MOST_CRASHES", 1)
    with pytest.raises(JobError, match=r"ended by signal 11 \(one of its images may crash it\)"):
        run("encode", processes="always", workers=1)
